"""What an error becomes over HTTP."""

import json

import pytest

from localai.api.errors import STATUS, problem, status_of
from localai.core.errors import (
    Conflict,
    Denied,
    Expired,
    Invalid,
    LocalaiError,
    NotFound,
    Pending,
    Rejected,
    TooOften,
    Unavailable,
)
from localai.core.redact import remember


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Invalid(), 422),
        (Denied(), 403),
        (NotFound(), 404),
        (Conflict(), 409),
        (Pending(), 409),
        (Rejected(), 409),
        (Expired(), 410),
        (TooOften("enough", wait_s=7), 429),
        (Unavailable(), 503),
        (LocalaiError(), 500),
    ],
)
def test_each_category_has_its_status(error: LocalaiError, status: int) -> None:
    """In the status line and in the document, which names the category as `--json` does."""
    answer = problem(error, "an-id")
    told = json.loads(bytes(answer.body))
    assert (answer.status_code, told["status"]) == (status, status)
    assert (told["category"], told["request_id"]) == (error.category, "an-id")
    assert told["type"] == f"urn:localai:problem:{error.category}"
    assert answer.headers["content-type"] == "application/problem+json"


def test_every_kind_of_error_has_a_status() -> None:
    """One that is added is told as its parent is."""
    assert {*LocalaiError.__subclasses__()} <= STATUS.keys()

    class Odd(NotFound):
        """One that nobody thought of."""

    assert status_of(Odd()) == 404


def test_who_should_come_again_is_told_when() -> None:
    """And who needs a key, how to give it."""
    assert problem(TooOften("enough", wait_s=7), "i").headers["retry-after"] == "7"
    assert int(problem(Unavailable(), "i").headers["retry-after"]) > 0


def test_a_secret_in_an_error_is_not_told() -> None:
    """A message may quote anything."""
    remember("hunter2-hunter2")
    answer = problem(Unavailable("no: hunter2-hunter2", hint="try hunter2-hunter2"), "an-id")
    assert b"hunter2" not in bytes(answer.body)
