"""Each category has its exit; whatever is raised is told."""

import json

import pytest
from typer import Abort, Exit

from localai.cli.exits import CODES, guard
from localai.core.errors import (
    Conflict,
    Denied,
    Expired,
    Invalid,
    LocalaiError,
    NotFound,
    Pending,
    Rejected,
    Unavailable,
)

CATEGORIES = [Invalid, Denied, NotFound, Conflict, Unavailable, Pending, Rejected, Expired]


def raising(error: BaseException) -> object:
    """A command that fails."""

    def run() -> object:
        raise error

    return run


@pytest.mark.parametrize(("kind", "code"), list(zip(CATEGORIES, range(2, 10), strict=True)))
def test_each_category_has_its_own_exit(kind: type[LocalaiError], code: int) -> None:
    """The published table."""
    assert guard(raising(kind()), []) == code
    assert CODES[kind.category] == code


def test_an_error_is_what_why_and_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    """The causes stand between."""
    error = Unavailable("no model", hint="ai models add FILE.gguf")
    error.__cause__ = OSError("the disk is gone")
    guard(raising(error), [])
    assert capsys.readouterr().err == (
        "ai: error: no model\n  cause: the disk is gone\nhint: ai models add FILE.gguf\n"
    )


def test_with_json_the_error_is_one_object_on_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Text on standard error stays."""
    guard(raising(NotFound("nothing", hint="look")), ["ai", "--json"])
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "error": {"category": "not_found", "message": "nothing", "hint": "look"}
    }
    assert "ai: error: nothing" in told.err


def test_a_bug_is_ours_and_never_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1; `--debug` adds the traceback."""
    assert guard(raising(ZeroDivisionError("oops")), []) == 1
    assert "Traceback" not in capsys.readouterr().err
    guard(raising(ZeroDivisionError("oops")), ["ai", "--debug"])
    assert "Traceback" in capsys.readouterr().err


def test_a_secret_in_an_error_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    """Errors are copied into tickets."""
    guard(raising(Unavailable("cannot reach https://me:hunter22@host/")), [])
    assert "hunter22" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (Abort(), 130), (Exit(4), 4)]
)
def test_leaving_early_is_not_an_error(error: BaseException, code: int) -> None:
    """An interrupt is 130, an exit its own code."""
    assert guard(raising(error), []) == code


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Abort(), Exit(130)])
def test_an_interrupt_is_said(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    """Typer hands Ctrl-C on as an exit code."""
    assert guard(raising(error), []) == 130
    assert guard(lambda: 130, []) == 130
    assert capsys.readouterr().err == "ai: interrupted\n" * 2


def test_a_cause_that_the_message_holds_is_not_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each line says something new."""
    error = Invalid("not JSON: line 1")
    error.__cause__ = ValueError("line 1")
    guard(raising(error), [])
    assert capsys.readouterr().err == "ai: error: not JSON: line 1\n"
