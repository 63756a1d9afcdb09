"""Errors say what happened, why, and what to type next."""

import pytest

from localai.core import errors
from localai.core.errors import Conflict, Denied, Invalid, LocalaiError, NotFound


@pytest.mark.parametrize("kind", LocalaiError.__subclasses__())
def test_every_category_speaks_for_itself(kind: type[LocalaiError]) -> None:
    """Without a message of its own, an error says its class's sentence."""
    assert str(kind()) == (kind.__doc__ or "").strip() != ""


def test_the_categories_are_those_of_the_command_line_contract() -> None:
    """Scripts branch on these words."""
    assert {kind.category for kind in [LocalaiError, *LocalaiError.__subclasses__()]} == {
        "internal",
        "invalid",
        "denied",
        "not_found",
        "conflict",
        "unavailable",
        "pending",
        "rejected",
        "expired",
    }


def test_the_tree_at_the_top_of_the_file_is_the_tree() -> None:
    """A class that is added is drawn."""
    drawn = errors.__doc__ or ""
    assert all(kind.__name__ in drawn for kind in LocalaiError.__subclasses__())


def test_a_message_and_a_hint_are_kept_apart() -> None:
    """The door prints them on lines of their own."""
    error = NotFound("no model tiny", hint="ai models list")
    assert (str(error), error.message, error.hint) == (
        "no model tiny",
        "no model tiny",
        "ai models list",
    )


def test_causes_are_listed_nearest_first() -> None:
    """A cause without words is named by its class."""
    outer, middle = Conflict("outer"), Invalid("middle")
    outer.__cause__, middle.__cause__ = middle, KeyError()
    assert outer.causes == ["middle", "KeyError"]
    assert Denied().causes == []
