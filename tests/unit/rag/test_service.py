"""The documents room: who may, what is found, what is refused."""

import dataclasses
import json
from collections.abc import Callable, Generator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import sqlalchemy as sa
from rag_home import NOBODY, READER, WRITER, Room, offline, room, sources

from localai.core.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from localai.core.metrics import (
    OPERATION_DURATION,
    OPERATIONS,
    REMOVED_CITATIONS,
    RETRIEVAL_DURATION,
)
from localai.rag import embed, store, tables
from localai.rag.records import SHIPPED_MODEL
from localai.rag.service import Generate, Messages, Rag


@pytest.fixture
def indexed(here: Room, documents: Path) -> Room:
    """The room with the documents in it."""
    here.rag.index(WRITER, [documents])
    return here


def says(text: str) -> Generate:
    """A model that answers with the text, piece by piece."""
    return lambda _, passages: (piece for piece in text.partition(" "))


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
    assert Path(unquote(urlsplit(passage.uri).path)).name == "kettle.md"


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
    assert list(record["passages"][0]) == [
        "n",
        "source",
        "title",
        "location",
        "score",
        "text",
        "trust",
        "uri",
    ]
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

    def never(_: str) -> object:
        raise AssertionError("the model was asked for")

    words_alone = store.Store(indexed.catalog, indexed.data, never, lambda: SHIPPED_MODEL)  # type: ignore[arg-type]
    rag = Rag(words_alone, lambda *_: None, offline)
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


def test_a_collection_is_asked_with_the_model_that_made_it(
    indexed: Room, documents: Path, tmp_path: Path
) -> None:
    """Whatever the settings say since; but nothing of another model is added to it."""
    other = room(tmp_path / "home", model="BAAI/bge-small-en-v1.5").rag
    found = other.query(READER, "kettle", k=1)
    assert (sources(found), found.model) == (["kettle.md"], "localai/static-192")
    with pytest.raises(Conflict, match="localai/static-192") as caught:
        other.index(WRITER, [documents])
    assert "ai rag collections rebuild default" in (caught.value.hint or "")
    assert "ai rag models use localai/static-192" in (caught.value.hint or "")
    assert [each.name for each in other.of_other_models(READER)] == ["default"]


def test_a_collection_whose_model_is_not_here_names_both_ways_out(
    indexed: Room, tmp_path: Path
) -> None:
    """Fetch that model, or make the collection anew with the one that is here."""
    with indexed.database.transaction() as connection:
        changed = sa.update(tables.collections).values(model="BAAI/bge-small-en-v1.5")
        connection.execute(changed)
    with pytest.raises(Unavailable, match="which is not here") as caught:
        indexed.rag.query(READER, "kettle")
    assert "ai rag models pull BAAI/bge-small-en-v1.5" in (caught.value.hint or "")
    assert "ai rag collections rebuild default" in (caught.value.hint or "")


def test_a_collection_of_another_tokenizer_is_a_conflict(
    indexed: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words cut in another way would not be found."""
    monkeypatch.setattr(store, "TOKENIZER_VERSION", store.TOKENIZER_VERSION + 1)
    with pytest.raises(Conflict) as caught:
        indexed.rag.query(READER, "kettle")
    assert "ai rag collections rebuild default" in (caught.value.hint or "")


def test_a_model_that_cannot_be_had_leaves_no_empty_collection(
    tmp_path: Path, documents: Path
) -> None:
    """The next try, with another model, must not meet a conflict."""
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
    assert indexed.kept.of(REMOVED_CITATIONS) == {(): 1}
    assert set(found.timings_ms) == {"embed", "search", "answer"}


def test_the_model_is_shown_the_passages(indexed: Room) -> None:
    """With their numbers, how many they are, and the question last."""
    seen: list[tuple[Messages, int]] = []

    def generate(messages: Messages, passages: int) -> Generator[str]:
        seen.append((messages, passages))
        yield "ok"

    indexed.rag.answer(READER, "kettle?", k=1, generate=generate)
    [(messages, passages)] = seen
    assert "descaled with vinegar" in messages[-1][1]
    assert messages[-1][1].endswith("Question: kettle?")
    assert passages == 1


def test_where_the_documents_do_not_say_no_model_is_asked(indexed: Room) -> None:
    """It would answer from itself; what was found is shown all the same."""
    shown: list[str] = []
    question = "Which birds migrate with a train over the deserts of Africa?"
    found = indexed.rag.answer(READER, question, generate=says("Surely [1]."), show=shown.append)
    assert (found.answer, "".join(shown)) == ("The documents do not say.",) * 2
    assert found.passages


def test_a_korean_question_is_not_judged_by_its_words_alone(indexed: Room) -> None:
    """They say too little: the model decides."""
    question = "여권 말고, 철새가 계절마다 어느 사막과 바다를 건너 이동하는지 알려 줘"
    found = indexed.rag.answer(READER, question, generate=says("모릅니다."))
    assert found.answer == "모릅니다."


def test_a_paraphrase_without_a_common_word_is_not_taken_for_silence(
    here: Room, tmp_path: Path
) -> None:
    """Its meaning is near."""
    (tmp_path / "house.md").write_text("Pets are allowed on the ground floor.", encoding="utf-8")
    here.rag.index(WRITER, [tmp_path / "house.md"])
    found = here.rag.answer(READER, "Can I bring my dog?", generate=says("Yes [1]."))
    assert found.answer == "Yes [1]."


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


def test_a_collection_says_what_it_is_about(indexed: Room) -> None:
    """In one line, wherever it is shown; indexing again does not forget it."""
    told = indexed.rag.describe(WRITER, "default", " kettles\nand  여권 ")
    assert told.description == "kettles and 여권"
    indexed.rag.index(WRITER, [])
    assert indexed.rag.show(READER, "default").description == "kettles and 여권"
    [listed] = indexed.rag.collections(READER).items
    assert listed.description == "kettles and 여권"
    assert indexed.rag.describe(WRITER, "default", "").description == ""


def test_a_description_has_bounds_and_a_collection(indexed: Room) -> None:
    """It is a line of a list."""
    with pytest.raises(Invalid, match="too long"):
        indexed.rag.describe(WRITER, "default", "x" * 501)
    with pytest.raises(NotFound):
        indexed.rag.describe(WRITER, "nothing", "x")


def test_a_collection_says_what_it_takes_on_disk(indexed: Room) -> None:
    """Blocks, not lengths: the engine's files are mostly holes."""
    folder = indexed.data / indexed.catalog.get("default").directory
    lengths = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    size = indexed.rag.show(READER, "default").size_bytes
    assert 0 < size < lengths
    assert [each.size_bytes for each in indexed.rag.collections(READER).items] == [size]


@pytest.mark.parametrize("question", ["How much memory does the GPU need?", "is SQLite locked"])
def test_an_english_question_finds_the_korean_passage_that_has_its_names(
    here: Room, tmp_path: Path, question: str
) -> None:
    """English passages near it in meaning, without the name, do not hide it."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for n in range(12):
        text = f"Memory of machine {n} is needed. How much there is, and what is locked, is noted."
        (folder / f"{n}.txt").write_text(text, encoding="utf-8")
    korean = "그래픽 카드 GPU는 8기가면 충분합니다. SQLite 파일이 잠기면 기다립니다."
    (folder / "한글.txt").write_text(korean, encoding="utf-8")
    here.rag.index(WRITER, [folder])
    assert sources(here.rag.query(READER, question))[0] == "한글.txt"


def test_a_name_of_code_is_found_by_its_words(here: Room, tmp_path: Path) -> None:
    """And by its other spellings."""
    (tmp_path / "users.js").write_text("export function getUserName(id) {}\n", encoding="utf-8")
    (tmp_path / "other.js").write_text("export function close(door) {}\n", encoding="utf-8")
    here.rag.index(WRITER, [tmp_path / "users.js", tmp_path / "other.js"])
    for question in ("user name", "get_user_name", "getusername"):
        found = here.rag.query(READER, question).passages
        assert (found[0].source, found[0].score > 1) == ("users.js", True)


def test_a_question_is_counted_once_with_or_without_an_answer(
    indexed: Room, documents: Path
) -> None:
    """And each run of the index; what was refused before it began is none of them."""
    indexed.rag.index(WRITER, [documents])
    indexed.rag.query(READER, "kettle")
    indexed.rag.answer(READER, "kettle", generate=says("Vinegar [1]."))
    for refused in (lambda: indexed.rag.query(READER, " "), lambda: indexed.rag.query(NOBODY, "a")):
        with pytest.raises((Invalid, Denied)):
            refused()
    wanted = {("rag_index", "ok"): 2, ("rag_query", "ok"): 2}
    assert indexed.kept.of(OPERATIONS) == wanted
    assert indexed.kept.times(OPERATION_DURATION) == {("rag_index",): 2, ("rag_query",): 2}
    assert indexed.kept.times(RETRIEVAL_DURATION) == {("embed",): 2, ("search",): 2}


def test_an_answer_that_breaks_off_has_failed(indexed: Room) -> None:
    """A person's Ctrl-C is no failure; either way the model is told to stop."""
    closed: list[str] = []

    def generate(_: Messages, __: int) -> Generator[str]:
        try:
            yield "Vinegar"
            raise Unavailable("the model is gone")
        finally:
            closed.append("closed")

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Unavailable):
        indexed.rag.answer(READER, "kettle", generate=generate)
    with pytest.raises(KeyboardInterrupt):
        indexed.rag.answer(READER, "kettle", generate=generate, show=interrupt)
    assert closed == ["closed"] * 2
    found = indexed.kept.of(OPERATIONS)
    assert (found["rag_query", "failed"], found["rag_query", "ok"]) == (1, 1)
