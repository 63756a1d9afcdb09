"""Chat or code: judged against labelled questions, and by what must hold for any text."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.infer.route import ENOUGH, route

_DATA = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize(("name", "count"), [("routes", 200), ("routes_held_out", 100)])
def test_labelled_questions_go_where_they_belong(name: str, count: int) -> None:
    """Half are Korean; the words were chosen looking at the first set, never at the second."""
    text = (_DATA / f"{name}.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    assert len(rows) == count
    assert sum(row["language"] == "ko" for row in rows) == count / 2
    assert sum(route(row["text"]).role == row["route"] for row in rows) >= 0.95 * count


@given(st.text(max_size=300))
def test_a_route_follows_from_its_reasons(question: str) -> None:
    """Whatever is asked: the weights add up to the score, and the score decides."""
    found = route(question)
    assert found.score == round(sum(reason.weight for reason in found.reasons), 1)
    assert found.role == ("code" if found.score >= ENOUGH else "chat")
    assert route(question) == found


@pytest.mark.parametrize("before", ["chat", "code"])
def test_a_question_that_says_nothing_stays_where_the_last_one_was(before: str) -> None:
    """A follow-up belongs to what was talked about; what says something does not."""
    assert route("and once more, shorter", before).role == before
    assert route("fix this python function", before).role == "code"
    assert route("a recipe for my birthday", before).role == "chat"


def test_each_reason_counts_once() -> None:
    """Saying a word often does not make it truer."""
    assert route("server server SERVER server").score == route("server").score


def test_reasons_are_told_by_weight() -> None:
    """What people read under --explain."""
    assert str(route("list in rust")).startswith("code, 3 of 1.5 for code: ")
    assert "rust +1" in str(route("list in rust"))
    assert str(route("hello")) == "chat, 0 of 1.5 for code: nothing says either"
