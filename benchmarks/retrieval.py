"""How well documents are found: nDCG@10 and recall@10 of localai, of its parts, and of others.

    python -m venv build/peers
    build/peers/bin/pip install -c constraints.txt -e . -r benchmarks/requirements-retrieval.txt
    build/peers/bin/python benchmarks/retrieval.py --cranfield FOLDER --korquad FOLDER

localai's rows come from the documents room with its defaults: files are indexed, a question is
asked, and a document stands where its best passage does. Intervals are of 95%, by resampling
questions. Times are of a question, in milliseconds, without opening an index. A peer that is not
installed is left out, and said; the exit status is 1 where localai is under its floor.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import qdrant_edge
from retrieval_data import TestSet, cranfield, korquad, sampled
from retrieval_peers import PEERS, Rank, corpus

from localai.app import App
from localai.rag.edge import EdgeIndex
from localai.rag.embed import Embedder
from localai.rag.evaluate import Question, Score, evaluation, score
from localai.rag.fusion import Fusion
from localai.rag.index import Search
from localai.rag.records import SHIPPED_MODEL
from localai.rag.service import MAX_PASSAGES
from localai.rag.store import Store

SETS = {"cranfield": cranfield, "korquad": korquad}
# nDCG@10 that the shipped model must reach.
FLOORS = {"Cranfield": 0.385, "KorQuAD": 0.945}
# So heavy that words decide nothing.
_ONLY_MEANING = Fusion(meaning=1e6)


@contextmanager
def opened_once() -> Iterator[None]:
    """Keep indexes open: opening one takes longer than asking it, and changes no ranking."""
    shards: dict[Path, Any] = {}

    @contextmanager
    def kept(index: EdgeIndex) -> Iterator[Any]:
        if index._folder not in shards:  # noqa: SLF001
            shards[index._folder] = qdrant_edge.EdgeShard.load(str(index._folder))  # noqa: SLF001
        yield shards[index._folder]  # noqa: SLF001

    with patch.object(EdgeIndex, "_open", kept):
        yield


class Ours:
    """localai's own collection of a test set, in a home of its own."""

    def __init__(self, test: TestSet, model: str) -> None:
        home = test.folder.with_suffix(".home")
        self._app = App(home, flags={"rag.model": model})
        self._folder = test.folder.resolve()
        self._actor = self._app.actor
        self._app.rag.index(self._actor, [test.folder])

    def embedder(self, model: str) -> Embedder:
        """The model that embedded the passages."""
        return Embedder(model, self._app.directories.cache / "embeddings")

    def fused(self, question: str) -> list[Path]:
        """As `ai rag query` finds them."""
        found = self._app.rag.query(self._actor, question, k=MAX_PASSAGES)
        return list(dict.fromkeys(self._folder / each.source for each in found.passages))

    def words(self, question: str) -> list[Path]:
        """By words alone."""
        return self._changed(question, lambda search: replace(search, dense=None))

    def meaning(self, question: str) -> list[Path]:
        """By meaning alone; nothing where the model cannot read the question."""
        return self._changed(
            question, lambda search: replace(search, fusion=_ONLY_MEANING) if search.dense else None
        )

    def _changed(self, question: str, change: Callable[[Search], Search | None]) -> list[Path]:
        real = Store.search

        def changed(*args: Any, **options: Any) -> Search | None:
            search = real(*args, **options)
            return change(search) if search else None

        with patch.object(Store, "search", changed):
            return self.fused(question)


def main() -> int:
    options = _options()
    print(f"{'collection':10} {'system':27} {'nDCG@10':22} {'recall@10':22} {'ms':>5}")
    with tempfile.TemporaryDirectory(prefix="localai-retrieval-") as folder, opened_once():
        tests = [
            make(source, Path(folder) / name)
            for name, make in SETS.items()
            if (source := getattr(options, name))
        ]
        kept = [_measured(sampled(test, options.sample), options.model) for test in tests]
    return 0 if all(kept) else 1


def _measured(test: TestSet, model: str) -> bool:
    """Print one row a system; False where ours is under its floor."""
    means = {name: _row(test, name, rank) for name, rank in _systems(test, model)}
    floor = FLOORS[test.name] if model == SHIPPED_MODEL else 0.0
    return means["localai"] >= floor


def _systems(test: TestSet, model: str) -> Iterator[tuple[str, Rank]]:
    ours = Ours(test, model)
    yield "localai", ours.fused
    yield "localai, words alone", ours.words
    yield "localai, meaning alone", ours.meaning
    shared = corpus(test.folder, ours.embedder(model))
    for name, build in PEERS.items():
        try:
            rank = build(shared)
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        yield name, rank


def _row(test: TestSet, name: str, rank: Rank) -> float:
    started = time.perf_counter()
    rankings = {question.id: rank(question.text) for question in test.questions}
    milliseconds = (time.perf_counter() - started) * 1000 / len(test.questions)
    scores = [score(question, rankings[question.id]) for question in test.questions]
    found = evaluation(scores, {}).overall
    figures = (
        f"{each.mean:.4f} [{each.low:.3f}, {each.high:.3f}]" for each in (found.ndcg, found.recall)
    )
    print(f"{test.name:10} {name:27} {'  '.join(figures)}  {milliseconds:5.1f}", flush=True)
    if name == "localai":
        _check(test.questions, rankings, scores)
    return found.ndcg.mean


def _check(questions: list[Question], rankings: dict[str, list[Path]], scores: list[Score]) -> None:
    """Say how far our sums are from those of ir_measures, which asks pytrec_eval."""
    try:
        import ir_measures
    except ImportError as error:
        print(f"not compared with ir_measures: {error}", file=sys.stderr)
        return
    judged = [
        ir_measures.Qrel(question.id, str(path), grade)
        for question in questions
        for path, grade in question.relevant.items()
    ]
    run = [
        ir_measures.ScoredDoc(id_, str(path), float(-place))
        for id_, paths in rankings.items()
        for place, path in enumerate(paths)
    ]
    metrics = {ir_measures.nDCG @ 10: "ndcg", ir_measures.R @ 10: "recall", ir_measures.RR: "mrr"}
    ours = {each.id: each for each in scores}
    worst = dict.fromkeys(metrics.values(), 0.0)
    compared = 0
    for each in ir_measures.iter_calc(list(metrics), judged, run):
        name = metrics[each.measure]
        worst[name] = max(worst[name], abs(getattr(ours[each.query_id], name) - each.value))
        compared += 1
    print(f"largest difference from ir_measures in {compared} figures: {worst}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cranfield", type=Path, help="folder of cran.all.1400 and its kin")
    parser.add_argument("--korquad", type=Path, help="folder of KorQuAD_v1.0_dev.json")
    parser.add_argument("--model", default=SHIPPED_MODEL, help="embedding model, by name")
    parser.add_argument("--sample", type=int, help="at most so many questions of each")
    options = parser.parse_args()
    if not (options.cranfield or options.korquad):
        parser.error("--cranfield FOLDER or --korquad FOLDER, or both")
    return options


if __name__ == "__main__":
    sys.exit(main())
