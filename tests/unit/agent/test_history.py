"""Conversations by project, and what of them grows old."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from approvals_home import Home, TurnableClock

from localai.agent.history import History, Turn
from localai.agent.search import Search
from localai.core.errors import Denied, NotFound
from localai.rbac.permissions import Actor

DAY = 86_400


@pytest.fixture
def forgotten() -> list[str]:
    """The conversations of which others were told that they are gone."""
    return []


@pytest.fixture
def history(home: Home, forgotten: list[str]) -> History:
    """What is tested."""

    def forget(user: str, sessions: Sequence[str]) -> None:
        assert user == home.operator.user_id
        forgotten.extend(sessions)

    return History(home.database, home.clock, home.rbac.require, forget)


def _begun(history: History, home: Home, said: Sequence[str] = ("user",), title: str = "t") -> str:
    session = history.begin(home.operator, title, "/nowhere")
    for role in said:
        history.add(home.operator, session, Turn(0, role, f"{role} of {title}"))
    return session


def _ids(found: Sequence[object]) -> list[object]:
    return [each.id for each in found]  # type: ignore[attr-defined]


def test_a_project_is_the_git_repository(history: History, home: Home, tmp_path: Path) -> None:
    """Wherever in it a conversation began; outside of any they are together."""
    inner = tmp_path / "repository" / "src" / "deep"
    inner.mkdir(parents=True)
    (tmp_path / "repository" / ".git").mkdir()
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    (worktree / ".git").write_text("gitdir: elsewhere")
    begun = [
        history.begin(home.operator, "t", str(place))
        for place in (inner, inner.parents[1], worktree, tmp_path, tmp_path / "gone")
    ]
    projects = [history.read(home.operator, each).session.project for each in begun]
    repository = str(tmp_path / "repository")
    assert projects == [repository, repository, str(worktree), "", ""]
    page = history.list(home.operator, project=repository)
    assert (page.total, set(_ids(page.items))) == (2, set(begun[:2]))
    assert history.list(home.operator).total == 5
    assert history.last(home.operator, repository) == begun[1]
    assert history.last(home.operator, "") == begun[4]


def test_a_project_without_conversations_names_those_of_others(
    history: History, home: Home
) -> None:
    """If there are any."""
    with pytest.raises(NotFound) as none:
        history.last(home.operator, "/p")
    assert none.value.hint == 'ai chat "..."'
    _begun(history, home)
    with pytest.raises(NotFound) as elsewhere:
        history.last(home.operator, "/p")
    assert "--all" in str(elsewhere.value.hint)


def test_a_search_stays_in_the_project(history: History, home: Home, tmp_path: Path) -> None:
    """Unless all are asked for."""
    (tmp_path / ".git").mkdir()
    here = history.begin(home.operator, "t", str(tmp_path))
    history.add(home.operator, here, Turn(0, "user", "a lighthouse"))
    other = _begun(history, home)
    history.add(home.operator, other, Turn(0, "user", "another lighthouse"))
    search = Search(home.database, home.rbac.require)
    found = search.find(home.operator, "lighthouse", project=str(tmp_path))
    assert (found.total, [each.session for each in found.items]) == (1, [here])
    assert search.find(home.operator, "lighthouse").total == 2


def test_what_nobody_used_goes_by_age_and_importance(
    history: History, home: Home, clock: TurnableClock, forgotten: list[str]
) -> None:
    """One question after 30 days, three after 60, a tool's work after 90; pinned never."""
    asked = _begun(history, home)
    talked = _begun(history, home, ("user", "assistant") * 3)
    worked = _begun(history, home, ("user", "assistant", "tool"))
    pinned = _begun(history, home)
    assert history.pin(home.operator, pinned[:6], is_pinned=True).is_pinned
    importance = {each.id: each.importance for each in history.list(home.operator).items}
    assert importance == {asked: 1, talked: 2, worked: 3, pinned: 1}
    gone: list[object] = []
    for _ in range(4):
        clock.pass_time(29 * DAY)
        gone.append(_ids(history.prune(home.operator, 30 * DAY)))
        clock.pass_time(1 * DAY + 1)
        gone.append(_ids(history.prune(home.operator, 30 * DAY)))
    assert gone == [[], [asked], [], [talked], [], [worked], [], []]
    assert forgotten == [asked, talked, worked]
    history.pin(home.operator, pinned, is_pinned=False)
    assert _ids(history.old(home.operator, 30 * DAY)) == [pinned]
    assert _ids(history.prune(home.operator, 30 * DAY)) == [pinned]
    search = Search(home.database, home.rbac.require)
    assert search.find(home.operator, "user of").total == 0


def test_what_waits_for_a_decision_stays(
    history: History, home: Home, clock: TurnableClock
) -> None:
    """Its result is still to come."""
    session = _begun(history, home)
    waiting = Turn(0, "tool", None, tool_call_id="1", approval_id="a")
    seq = history.add(home.operator, session, waiting)
    clock.pass_time(1000 * DAY)
    assert history.prune(home.operator, DAY) == []
    history.answer(home.operator, session, seq, "done")
    assert _ids(history.prune(home.operator, DAY)) == [session]


def test_others_conversations_are_not_pruned(
    history: History, home: Home, clock: TurnableClock
) -> None:
    """Everybody's are their own, and a viewer has none to prune."""
    session = _begun(history, home)
    clock.pass_time(1000 * DAY)
    assert history.prune(home.add_user("ann", "user"), DAY) == []
    with pytest.raises(Denied):
        history.prune(home.add_user("vic", "viewer"), DAY)
    assert history.exists(session)


def test_a_new_conversation_prunes_the_old_ones(home: Home, clock: TurnableClock) -> None:
    """Where the settings say how long they are kept."""
    history = History(home.database, home.clock, home.rbac.require, lambda *_: None, keep_s=DAY)
    first = _begun(history, home)
    clock.pass_time(DAY - 1)
    second = _begun(history, home)
    assert history.exists(first)
    clock.pass_time(2)
    _begun(history, home)
    assert (history.exists(first), history.exists(second)) == (False, True)


def test_a_great_many_are_pruned_at_once(
    history: History, home: Home, clock: TurnableClock
) -> None:
    """More than a statement takes ids."""
    for n in range(1003):
        history.begin(home.operator, str(n), "/nowhere")
    clock.pass_time(10 * DAY)
    assert len(history.prune(home.operator, DAY)) == 1003
    assert history.list(home.operator).total == 0


def test_a_conversation_remembers_that_something_foreign_was_read_in_it(
    home: Home, history: History
) -> None:
    """Also in the next process; one that is not stored has none."""
    session = history.begin(home.operator, "a", "/work")
    assert not history.has_foreign(session)
    history.note_foreign(session)
    assert history.has_foreign(session)
    assert not history.has_foreign(history.begin(home.operator, "b", "/work"))
    history.note_foreign("nowhere")
    assert not history.has_foreign("nowhere")


def test_a_conversation_is_saved_at_once(history: History, home: Home) -> None:
    """With all that was said in it, numbered, and as one that others may have written in."""
    turns = [Turn(0, "user", "q"), Turn(0, "assistant", "a")]
    saved = history.save(home.operator, "t", "/nowhere", turns)
    found = history.read(home.operator, saved)
    assert [(each.seq, each.role, each.content) for each in found.turns] == [
        (1, "user", "q"),
        (2, "assistant", "a"),
    ]
    assert found.session.messages == 2
    assert history.has_foreign(saved)
    assert not history.has_foreign(history.begin(home.operator, "t", "/nowhere"))
    history.add(home.operator, saved, Turn(0, "user", "and then?"))
    assert history.read(home.operator, saved).turns[-1].seq == 3


def test_statistics_count_what_is_ones_own(history: History, home: Home) -> None:
    """Nothing of others, and nothing where there is nothing."""
    assert history.statistics(home.operator).last_at is None
    _begun(history, home, ("user", "assistant", "tool", "user"))
    pinned = _begun(history, home)
    history.pin(home.operator, pinned, is_pinned=True)
    found = history.statistics(home.operator)
    assert (found.conversations, found.pinned, found.projects, found.messages) == (2, 1, 1, 5)
    assert found.by_role == {"assistant": 1, "tool": 1, "user": 3}
    assert found.first_at is not None
    assert found.last_at is not None
    assert found.first_at <= found.last_at
    assert history.statistics(home.add_user("ann", "user")).messages == 0
    with pytest.raises(Denied):
        history.statistics(Actor("nobody"))
