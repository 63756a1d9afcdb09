"""What was said is found by its meaning, and nothing of it once it was forgotten."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from approvals_home import Home
from rag_home import offline

from localai.agent.history import History, Turn
from localai.agent.recollection import Recollection
from localai.core.errors import Denied, Invalid, NotFound
from localai.rag.catalog import Catalog
from localai.rag.embed import Embedder
from localai.rag.memory import Memory
from localai.rag.service import Rag
from localai.rag.store import Store
from localai.rbac.permissions import Actor

SAID = {
    "Kitchen": "The kettle is descaled with vinegar every month.",
    "Travel": "The train to the coast leaves at nine in the morning.",
    "여권": "여권을 잃어버리면 영사관에 신고해야 합니다.",
    "Money": "The rent is due on the first Monday.",
}


@pytest.fixture
def store(home: Home, tmp_path: Path) -> Store:
    """Where the index lies."""
    catalog = Catalog(home.database, home.clock)
    return Store(
        catalog,
        tmp_path / "rag",
        lambda name: Embedder(name, tmp_path / "cache"),
        lambda: "localai/static-192",
    )


@pytest.fixture
def recollection(home: Home, store: Store) -> Recollection:
    """What is tested."""
    return Recollection(home.database, home.rbac.require, partial(Memory, store))


@pytest.fixture
def history(home: Home, recollection: Recollection) -> History:
    """Conversations, which tell when they are removed."""
    return History(home.database, home.clock, home.rbac.require, recollection.forget)


@pytest.fixture
def sessions(home: Home, history: History) -> dict[str, str]:
    """A conversation about each thing, by its title."""
    return {title: _told(history, home.operator, title, text) for title, text in SAID.items()}


def _told(history: History, actor: Actor, title: str, text: str, place: str = "/nowhere") -> str:
    session = history.begin(actor, title, place)
    history.add(actor, session, Turn(0, "user", text))
    history.add(actor, session, Turn(0, "tool", f"result: {text}", tool_name="t"))
    history.add(actor, session, Turn(0, "assistant", "  "))
    return session


def _titles(recollection: Recollection, actor: Actor, text: str, **options: object) -> list[str]:
    found = recollection.find(actor, text, **options)  # type: ignore[arg-type]
    return [each.title for each in found.items]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("cleaning limescale in the kitchen", "Kitchen"),
        ("railway departure to the sea", "Travel"),
        ("잃어버린 여권", "여권"),
        ("paying the landlord, rent", "Money"),
    ],
)
def test_words_that_were_not_said_find_what_was_meant(
    recollection: Recollection, home: Home, sessions: dict[str, str], text: str, title: str
) -> None:
    """Korean by its words alone, with the model that ships."""
    best = recollection.find(home.operator, text).items[0]
    assert (best.session, best.title) == (sessions[title], title)
    assert (best.seq, best.role, best.snippet) == (1, "user", SAID[title])


def test_what_is_said_later_is_found_and_what_is_forgotten_is_gone(
    recollection: Recollection, history: History, home: Home, sessions: dict[str, str], store: Store
) -> None:
    """From the index too, at once."""
    assert _titles(recollection, home.operator, "kettle")[0] == "Kitchen"
    later = "The kettle whistles in the evening."
    history.add(home.operator, sessions["Money"], Turn(0, "assistant", later))
    found = recollection.find(home.operator, "whistling kettle").items[0]
    assert (found.title, found.seq, found.role) == ("Money", 4, "assistant")
    entry = store.catalog.find("@kim")
    assert entry is not None
    before = store.index(entry).count()
    history.remove(home.operator, sessions["Money"])
    assert store.index(entry).count() == before - 2
    assert "Money" not in _titles(recollection, home.operator, "whistling kettle")


def test_each_sees_their_own(
    recollection: Recollection, history: History, home: Home, sessions: dict[str, str]
) -> None:
    """And who may not read conversations sees none."""
    ann = home.add_user("ann", "user")
    assert _titles(recollection, ann, "kettle") == []
    _told(history, ann, "Secret", "My kettle is made of gold.")
    assert _titles(recollection, ann, "kettle") == ["Secret"]
    assert "Secret" not in _titles(recollection, home.operator, "kettle")
    with pytest.raises(Denied):
        recollection.find(Actor("stranger"), "kettle")


def test_a_project_is_searched_alone(
    recollection: Recollection,
    history: History,
    home: Home,
    sessions: dict[str, str],
    tmp_path: Path,
) -> None:
    """However much others have to say about it."""
    (tmp_path / ".git").mkdir()
    for n in range(30):
        _told(history, home.operator, f"Other {n}", f"The kettle, kettle number {n}.")
    _told(history, home.operator, "Here", "A kettle costs thirty.", str(tmp_path))
    find = partial(_titles, recollection, home.operator, "kettle", limit=3)
    assert find(project=str(tmp_path)) == ["Here"]
    assert "Here" not in find(project="")
    assert len(find()) == 3


def test_no_command_about_documents_reaches_conversations(
    recollection: Recollection, home: Home, sessions: dict[str, str], store: Store
) -> None:
    """Whoever may read documents may not read what others said."""
    recollection.find(home.operator, "kettle")
    rag = Rag(store, lambda *_: None, offline)
    assert rag.collections(home.operator).items == []
    for act in (rag.show, rag.remove):
        with pytest.raises(NotFound):
            act(home.operator, "@kim")
    with pytest.raises(NotFound):
        rag.query(home.operator, "kettle", collection="@kim")
    with pytest.raises(Invalid):
        rag.index(home.operator, [Path(__file__)], collection="@kim")


def test_another_model_makes_another_index(
    recollection: Recollection, home: Home, sessions: dict[str, str], store: Store, tmp_path: Path
) -> None:
    """It holds nothing that the conversations do not, so nobody has to do anything."""
    recollection.find(home.operator, "kettle")
    renamed = store.catalog.find("@kim")
    assert renamed is not None
    store.catalog.remove("@kim")
    store.catalog.add(replace(renamed, model="another/model"))
    assert _titles(recollection, home.operator, "kettle")[0] == "Kitchen"
    entry = store.catalog.find("@kim")
    assert entry is not None
    assert (entry.model, entry.directory != renamed.directory) == ("localai/static-192", True)


def test_a_question_without_words_finds_nothing(
    recollection: Recollection, home: Home, sessions: dict[str, str]
) -> None:
    """An empty one is refused."""
    assert recollection.find(home.operator, "?!").items == []
    with pytest.raises(Invalid):
        recollection.find(home.operator, "  ")


def test_what_two_forget_at_once_is_forgotten(
    recollection: Recollection, home: Home, sessions: dict[str, str], store: Store
) -> None:
    """Whoever comes second finds that it is done."""
    _titles(recollection, home.operator, "kettle")
    entry = store.catalog.find("@kim")
    assert entry is not None
    run = Memory(store, "kim")._run(entry)
    run.take((), gone=[f"{'0' * 16}/1", f"{sessions['Money']}/1"])
    assert f"{sessions['Money']}/1" not in store.catalog.files("@kim")
