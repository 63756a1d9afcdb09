"""`ai sessions`: projects, age and meaning."""

from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import Ai


@pytest.fixture
def elsewhere(ai: Ai, tmp_path: Path) -> Ai:
    """The same home, in a git repository."""
    repository = tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    return Ai(ai.home, repository)


@pytest.mark.prove
def test_conversations_of_two_projects_do_not_mix(
    ai: Ai, elsewhere: Ai, with_model: Callable[..., str]
) -> None:
    """`-c` goes on here; what is asked for by its id is found anywhere."""
    with_model()
    first = ai("chat", "a lighthouse", "--json").json["session"]
    nothing = elsewhere("chat", "-c", "go on")
    assert nothing.code == 4
    assert "ai sessions list --all" in nothing.err
    second = elsewhere("chat", "another lighthouse", "--json").json["session"]
    assert ai("sessions", "list", "-q").out == f"{first}\n"
    assert ai("sessions", "list", "--all", "-q").out == f"{second}\n{first}\n"
    assert ai("sessions", "search", "lighthouse", "-q").out == f"{first}\n"
    assert ai("sessions", "stats", "--json").json["conversations"] == 2
    assert ai("sessions", "show", second, "--json").json["session"]["project"] == str(
        elsewhere.workspace
    )


@pytest.mark.prove
def test_old_conversations_are_forgotten_and_pinned_ones_kept(
    ai: Ai, with_model: Callable[..., str]
) -> None:
    """Shown before anybody is asked; `--dry-run` only shows."""
    with_model()
    old, kept = (ai("chat", text, "--json").json["session"] for text in ("old", "kept"))
    assert ai("sessions", "pin", kept[:5]).code == 0
    assert ai("sessions", "prune", "--unused", "0", "--dry-run", "-q").out == f"{old}\n"
    asked = ai("sessions", "prune", "--unused", "0")
    assert (asked.code, old in asked.out) == (2, True)
    refused = ai("sessions", "prune", "--unused", "0", "--json")
    assert (refused.code, refused.json["error"]["category"]) == (2, "invalid")
    assert "forgotten: 1" in ai("sessions", "prune", "--unused", "0", "-y").err
    assert ai("sessions", "unpin", kept).code == 0
    assert ai("--set", "sessions.keep=1s", "chat", "new").code == 0
    assert ai("sessions", "list", "--json").json["total"] == 1


@pytest.mark.prove
def test_a_conversation_is_found_by_its_meaning(ai: Ai, with_model: Callable[..., str]) -> None:
    """And is gone from the index when it is forgotten."""
    with_model(default="Noted.")
    wanted = ai("chat", "descaling the kettle with vinegar", "--json").json["session"]
    found = ai("sessions", "search", "--meaning", "limescale in the kitchen", "--json").json
    assert found["items"][0]["session"] == wanted
    assert found["items"][0]["snippet"] == "descaling the kettle with vinegar"
    assert ai("sessions", "rm", wanted, "-y").code == 0
    assert ai("sessions", "search", "--meaning", "limescale", "-q").out == ""


@pytest.mark.prove
def test_what_no_longer_fits_is_left_out_and_said(ai: Ai, with_model: Callable[..., str]) -> None:
    """The conversation goes on."""
    with_model()
    small = ("--set", "engine.context=1200")
    ai(*small, "chat", "--no-tools", "first " * 80)
    asked = ai(*small, "chat", "--no-tools", "-c", "second " * 80)
    assert asked.code == 0
    assert "[the first 2 messages no longer fit and are not read]" in asked.err
