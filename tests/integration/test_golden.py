"""How well documents are found, with the engine, the model and the settings that ship.

The floors lie a little under what was measured; docs/why.md has the figures.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rag_home import WRITER, Room, room

from localai.rag import store
from localai.rag.fusion import Fusion
from localai.rag.index import Search
from localai.rag.store import Store

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden"
DOCUMENTS = [GOLDEN / "corpus", GOLDEN / "pages"]
SOURCES = [ROOT / "localai" / room for room in ("agent", "core", "infer", "rag", "rbac")]
# nDCG@10 that each set and language must reach.
FLOORS = {
    "questions": {"en": 0.89, "ko": 0.88},
    "mixed": {"en": 0.89, "ko": 0.79},
    "cross": {"en": 0.56, "ko": 0.47},
    "code": {"en": 0.82},
}
# How far fused rankings may lie under the better of words alone and meaning alone. Code is that of
# today, which moves them a little.
TOLERANCES = {"questions": 0.02, "mixed": 0.02, "code": 0.03}

Means = dict[str, float]


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Documents of both languages in one collection, and the source of localai in another."""
    made = room(tmp_path_factory.mktemp("golden"))
    made.rag.index(WRITER, DOCUMENTS)
    made.rag.index(WRITER, SOURCES, collection="code")
    yield made
    made.database.close()


def measured(indexed: Room, name: str) -> Means:
    """nDCG@10 of the set, by language."""
    collection = "code" if name == "code" else "default"
    found = indexed.rag.evaluate(WRITER, GOLDEN / f"{name}.jsonl", collection=collection)
    return {language: scores.ndcg.mean for language, scores in found.by_language.items()}


def by_words(indexed: Room, name: str) -> Means:
    """As above, by words alone."""
    real = Store.search

    def words_only(self: Store, *args: Any, **options: Any) -> Search | None:
        search = real(self, *args, **options)
        return search and replace(search, dense=None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "search", words_only)
        return measured(indexed, name)


def by_meaning(indexed: Room, name: str) -> Means:
    """As above, with words counting for nothing wherever the model reads the question."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_STATIC_FUSION", Fusion(meaning=1e6))
        return measured(indexed, name)


@pytest.mark.parametrize("name", FLOORS)
def test_documents_are_found_as_well_as_they_were(indexed: Room, name: str) -> None:
    """In each language, in questions of both, across them, and in code."""
    found = measured(indexed, name)
    floors = FLOORS[name].items()
    assert {
        language: found[language] for language, floor in floors if found[language] < floor
    } == {}


@pytest.mark.prove
@pytest.mark.parametrize("name", TOLERANCES)
def test_two_rankings_are_never_much_worse_than_the_better_one(indexed: Room, name: str) -> None:
    """In a collection of both languages, for each of them."""
    fused, words, meaning = (each(indexed, name) for each in (measured, by_words, by_meaning))
    worse = {
        language: (mean, words[language], meaning[language])
        for language, mean in fused.items()
        if mean < max(words[language], meaning[language]) - TOLERANCES[name]
    }
    assert worse == {}
