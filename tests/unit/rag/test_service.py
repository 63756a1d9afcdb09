"""The documents room: who may, what is found, what is refused."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from rag_home import NOBODY, READER, WRITER, Room, room, sources

from localai.core.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from localai.rag import embed, store
from localai.rag.records import SHIPPED_MODEL
from localai.rag.service import Rag

Messages = Sequence[tuple[str, str]]


@pytest.fixture
def indexed(here: Room, documents: Path) -> Room:
    """The room with the documents in it."""
    here.rag.index(WRITER, [documents])
    return here


def says(text: str) -> Callable[[Messages, int], Iterator[str]]:
    """A model that answers with the text, piece by piece."""
    return lambda _, passages: iter(text.partition(" "))


@pytest.mark.parametrize(
    "act",
    [
        lambda rag: rag.index(READER, []),
        lambda rag: rag.remove(READER, "default"),
        lambda rag: rag.query(NOBODY, "kettle"),
        lambda rag: rag.answer(NOBODY, "kettle"),
        lambda rag: rag.collections(NOBODY),
        lambda rag: rag.show(NOBODY, "default"),
    ],
)
def test_every_method_asks_for_its_permission(indexed: Room, act: Callable[[Rag], object]) -> None:
    """Readers change nothing, and nobody reads nothing."""
    with pytest.raises(Denied):
        act(indexed.rag)


def test_a_passage_says_where_it_stands(indexed: Room) -> None:
    """File, headings, lines and the text itself."""
    [passage] = indexed.rag.query(READER, "How do I descale the kettle?", k=1).passages
    assert passage.n == 1
    assert passage.source == "kettle.md"
    assert passage.title == "kettle.md \u203a Kitchen \u203a Kettle"
    assert passage.location == "L3-L5"
    assert passage.text == "## Kettle\n\nThe kettle is descaled with vinegar."
    assert passage.score > 0


def test_an_answer_is_the_record_that_the_command_line_promises(indexed: Room) -> None:
    """Scripts read these names."""
    found = indexed.rag.query(READER, "kettle", k=1)
    record = json.loads(json.dumps(dataclasses.asdict(found)))
    assert list(record) == [
        "question",
        "collection",
        "answer",
        "passages",
        "model",
        "timings_ms",
    ]
    assert list(record["passages"][0]) == ["n", "source", "title", "location", "score", "text"]
    assert (record["answer"], record["model"]) == (None, "localai/static-192")


def test_passages_are_numbered_from_the_best(indexed: Room) -> None:
    """The first is what the question is about."""
    found = indexed.rag.query(READER, "trains at the platform")
    assert sources(found)[0] == "train.txt"
    assert [passage.n for passage in found.passages] == list(range(1, len(found.passages) + 1))


def test_a_korean_question_finds_a_korean_passage_without_the_english_model(
    indexed: Room, tmp_path: Path
) -> None:
    """Words alone are asked, so the model is not even loaded."""

    def never() -> object:
        raise AssertionError("the model was asked for")

    words_alone = store.Store(indexed.catalog, indexed.data, never, SHIPPED_MODEL)  # type: ignore[arg-type]
    rag = Rag(words_alone, lambda *_: None)
    assert sources(rag.query(READER, "여권을 잃어버리면 어떻게 하나요?")) == ["inner/ko.md"]


@pytest.mark.parametrize("text", ["!?", "ㅁㅁㅁ", "\U0001f600"])
def test_a_question_without_a_known_word_finds_nothing(indexed: Room, text: str) -> None:
    """Nothing found is an answer, not an error."""
    assert indexed.rag.query(READER, text).passages == ()


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_question_is_refused(indexed: Room, text: str) -> None:
    """It would find anything."""
    with pytest.raises(Invalid):
        indexed.rag.query(READER, text)


@pytest.mark.parametrize("k", [0, -1, 101])
def test_the_number_of_passages_has_bounds(indexed: Room, k: int) -> None:
    """Each leg of the search brings a hundred at most."""
    with pytest.raises(Invalid):
        indexed.rag.query(READER, "kettle", k=k)


def test_asking_before_indexing_says_what_to_type(here: Room) -> None:
    """The first question of a newcomer."""
    with pytest.raises(NotFound) as caught:
        here.rag.query(READER, "kettle")
    assert caught.value.hint == "ai rag index PATH"


@pytest.mark.parametrize("name", ["", "-x", "a/b", "../x", "a b", "x" * 65, "a\n"])
def test_a_collection_needs_a_name_that_can_be_typed(
    here: Room, documents: Path, name: str
) -> None:
    """No spaces, no paths, no flags."""
    with pytest.raises(Invalid):
        here.rag.index(WRITER, [documents], collection=name)
    assert here.rag.collections(WRITER).total == 0


def test_collections_do_not_see_each_other(here: Room, documents: Path) -> None:
    """Each has its own index."""
    here.rag.index(WRITER, [documents / "kettle.md"], collection="kitchen")
    here.rag.index(WRITER, [documents / "train.txt"], collection="여행")
    assert sources(here.rag.query(READER, "kettle train", collection="여행")) == ["train.txt"]
    page = here.rag.collections(READER)
    assert (page.total, [each.name for each in page.items]) == (2, ["kitchen", "여행"])


def test_a_shown_collection_counts_what_is_in_it(indexed: Room, documents: Path) -> None:
    """Files, passages, and the folders that they came from."""
    shown = indexed.rag.show(READER, "default")
    assert (shown.files, shown.chunks, shown.dim) == (3, 3, 192)
    assert (shown.engine, shown.roots) == ("edge", (str(documents),))
    with pytest.raises(NotFound):
        indexed.rag.show(READER, "other")


def test_removing_a_collection_leaves_the_documents(indexed: Room, documents: Path) -> None:
    """The index goes, to the last file."""
    indexed.rag.remove(WRITER, "default")
    assert (list(indexed.data.iterdir()), len(list(documents.iterdir()))) == ([], 3)
    with pytest.raises(NotFound):
        indexed.rag.remove(WRITER, "default")


def test_a_removed_collection_can_be_made_again(indexed: Room, documents: Path) -> None:
    """Under the same name, from the beginning."""
    indexed.rag.remove(WRITER, "default")
    assert indexed.rag.index(WRITER, [documents]).added == 3


def test_another_model_in_the_settings_is_a_conflict_with_both_ways_out(
    indexed: Room, documents: Path, tmp_path: Path
) -> None:
    """Vectors of two models cannot be compared."""
    other = room(tmp_path / "home", model="BAAI/bge-small-en-v1.5").rag
    for act in (lambda: other.query(READER, "x"), lambda: other.index(WRITER, [documents])):
        with pytest.raises(Conflict, match="localai/static-192") as caught:
            act()
        assert "ai config set rag.model localai/static-192" in (caught.value.hint or "")
        assert "ai rag collections rm default" in (caught.value.hint or "")


def test_a_collection_of_another_tokenizer_is_a_conflict(
    indexed: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words cut in another way would not be found."""
    monkeypatch.setattr(store, "TOKENIZER_VERSION", 2)
    with pytest.raises(Conflict) as caught:
        indexed.rag.query(READER, "kettle")
    assert "ai rag collections rm default" in (caught.value.hint or "")


def test_a_model_that_cannot_be_had_leaves_no_empty_collection(
    tmp_path: Path, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next try, with another model, must not meet a conflict."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    offline = room(tmp_path / "home", model="BAAI/bge-small-en-v1.5")
    with pytest.raises(Unavailable):
        offline.rag.index(WRITER, [documents])
    assert offline.rag.collections(READER).total == 0


def test_who_comes_second_to_a_new_name_uses_the_first_ones_index(
    here: Room, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes begin a collection at once; no folder is left over."""
    other = room(here.data.parent)
    real = embed.Embedder.load

    def beaten(self: embed.Embedder) -> None:
        monkeypatch.setattr(embed.Embedder, "load", real)
        other.rag.index(WRITER, [documents / "train.txt"])
        real(self)

    monkeypatch.setattr(embed.Embedder, "load", beaten)
    here.rag.index(WRITER, [documents / "kettle.md"])
    assert here.rag.show(READER, "default").files == 2
    assert len([each for each in here.data.iterdir() if each.is_dir()]) == 1


def test_without_a_model_the_passages_are_the_answer(indexed: Room) -> None:
    """Nothing is made up."""
    assert indexed.rag.answer(READER, "kettle").answer is None


def test_a_model_answers_from_the_passages_and_cites_what_is_there(indexed: Room) -> None:
    """A citation of no passage is taken out."""
    found = indexed.rag.answer(READER, "kettle", k=1, generate=says("Vinegar [1]. Or lemon [4]."))
    assert found.answer == "Vinegar [1]. Or lemon."
    assert set(found.timings_ms) == {"embed", "search", "answer"}


def test_the_model_is_shown_the_passages(indexed: Room) -> None:
    """With their numbers, how many they are, and the question last."""
    seen: list[tuple[Messages, int]] = []

    def generate(messages: Messages, passages: int) -> Iterator[str]:
        seen.append((messages, passages))
        yield "ok"

    indexed.rag.answer(READER, "kettle?", k=1, generate=generate)
    [(messages, passages)] = seen
    assert "descaled with vinegar" in messages[-1][1]
    assert messages[-1][1].endswith("Question: kettle?")
    assert passages == 1


def test_where_nothing_is_found_the_model_is_not_asked(indexed: Room) -> None:
    """It would answer from itself."""
    assert indexed.rag.answer(READER, "!?", generate=says("Surely yes.")).answer is None


def test_the_engine_is_named_in_words(here: Room) -> None:
    """For the doctor."""
    assert here.rag.engine == "Qdrant edge"


def test_a_question_in_a_language_that_the_model_does_not_know_is_noticed(
    indexed: Room, tmp_path: Path
) -> None:
    """Where nothing of that language was found; Korean documents are found by their words."""
    asked = [("여권을 잃어버리면?", False), ("주전자 청소", True), ("descaled kettle", False)]
    for text, missed in asked:
        assert indexed.rag.misses_language(READER, indexed.rag.query(READER, text)) == missed
