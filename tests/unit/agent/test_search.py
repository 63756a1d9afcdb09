"""What was said is found by its words, and by parts of Korean ones."""

from collections.abc import Iterable

import pytest
from approvals_home import Home, TurnableClock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localai.agent.history import History, Turn
from localai.agent.search import Found, Search
from localai.core.errors import Denied, Invalid
from localai.rbac.permissions import Actor

SAID = [
    ("user", "How do I approve a request that waits?"),
    ("assistant", "Type `ai approve` and the ID; 승인을 기다립니다."),
    ("user", "집세는 언제 내나요? 50% more, under_score"),
    ("assistant", "첫째 주 월요일에 냅니다."),
]


@pytest.fixture
def history(home: Home) -> History:
    """Conversations of the home."""
    return History(home.database, home.clock, home.rbac.require, lambda *_: None)


@pytest.fixture
def search(home: Home) -> Search:
    """What is tested."""
    return Search(home.database, home.rbac.require)


@pytest.fixture
def session(history: History, home: Home) -> str:
    """A conversation in which all of it was said, and a tool returned something."""
    begun = history.begin(home.operator, "Rent", "/work")
    for role, text in SAID:
        history.add(home.operator, begun, Turn(0, role, text))
    history.add(home.operator, begun, Turn(0, "tool", "approve 승인", tool_name="read_file"))
    return begun


def _seqs(found: Iterable[Found]) -> list[int]:
    return sorted(each.seq for each in found)


@pytest.mark.parametrize(
    ("text", "seqs"),
    [
        ("approve", [1, 2]),
        ("APPROVE request", [1]),
        ("prov", [1, 2]),
        ("승인", [2]),
        ("기다립", [2]),
        ("내", [3]),
        ("냅", [4]),
        ("집세 언제", [3]),
        ("`ai", [2]),
        ("ID", [2]),
        ("50%", [3]),
        ("r_s", [3]),
        ("_", [3]),
        ("%", [3]),
        ('a"b', []),
        ("approve nothing", []),
        ("read_file", []),
    ],
)
@pytest.mark.usefixtures("session")
def test_all_the_words_must_be_there(
    search: Search, home: Home, text: str, seqs: list[int]
) -> None:
    """Parts of words too, in any order and case; what tools returned was not said."""
    page = search.find(home.operator, text)
    assert _seqs(page.items) == seqs
    assert page.total == len(seqs)


def test_a_finding_tells_where_it_was(search: Search, home: Home, session: str) -> None:
    """With the words around it."""
    [found] = search.find(home.operator, "월요일").items
    assert (found.session, found.title, found.role) == (session, "Rent", "assistant")
    assert found.snippet == "첫째 주 월요일에 냅니다."


def test_a_snippet_is_a_short_line(search: Search, history: History, home: Home) -> None:
    """However long the message is."""
    begun = history.begin(home.operator, "Long", "/work")
    text = "before " * 100 + "NEEDLE\nin the hay" + " after" * 100
    history.add(home.operator, begun, Turn(0, "user", text))
    [found] = search.find(home.operator, "needle").items
    assert "before NEEDLE in the hay after" in found.snippet
    assert found.snippet.startswith("…")
    assert found.snippet.endswith("…")
    assert len(found.snippet) < 200


def test_findings_come_by_pages_newest_first(
    search: Search, history: History, home: Home, clock: TurnableClock
) -> None:
    """All of them, each once."""
    begun = history.begin(home.operator, "Many", "/work")
    for number in range(7):
        clock.pass_time(1)
        history.add(home.operator, begun, Turn(0, "user", f"number {number}"))
    seen: list[int] = []
    cursor = None
    while True:
        page = search.find(home.operator, "number", limit=3, cursor=cursor)
        seen += [found.seq for found in page.items]
        assert page.total == 7
        if (cursor := page.next) is None:
            break
    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_a_conversation_that_is_removed_is_not_found(
    search: Search, history: History, home: Home, session: str
) -> None:
    """Nothing of it stays in the index."""
    history.remove(home.operator, session)
    assert search.find(home.operator, "approve").total == 0
    with home.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM messages_search").scalar() == 0


def test_others_conversations_are_not_searched(search: Search, home: Home, session: str) -> None:
    """Each finds their own."""
    assert session
    assert search.find(home.add_user("lee", "user"), "approve").total == 0
    with pytest.raises(Denied):
        search.find(Actor("nobody"), "approve")


@pytest.mark.parametrize("text", ["", "  \n", "\0"])
def test_nothing_is_no_search(search: Search, home: Home, text: str) -> None:
    """It would find everything."""
    with pytest.raises(Invalid, match="nothing was looked for"):
        search.find(home.operator, text)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(
    said=st.text("가나다기다abAB \"'`%_*()-:", min_size=1, max_size=12),
    words=st.lists(
        st.text("가나다기다abAB\"'`%_*()-:", min_size=1, max_size=5), min_size=1, max_size=2
    ),
)
def test_any_words_find_what_holds_them(
    search: Search, history: History, home: Home, said: str, words: list[str]
) -> None:
    """As comparing the texts would; nothing in a word is an operator."""
    begun = history.begin(home.operator, "t", "/work")
    history.add(home.operator, begun, Turn(0, "user", said))
    found = {each.session for each in search.find(home.operator, " ".join(words), limit=1000).items}
    is_there = all(word.lower() in said.lower() for word in words)
    assert (begun in found) == is_there
    history.remove(home.operator, begun)
