"""How good an answer is, in numbers that can be worked out by hand."""

import json
import math
from pathlib import Path

import pytest
from rag_home import READER, WRITER, Room

from localai.core.errors import Denied, Invalid, NotFound
from localai.rag.evaluate import Question, Score, evaluation, read, score

A, B, C, D = (Path(f"/{name}") for name in "abcd")


def test_a_ranking_is_scored_as_trec_eval_scores_it() -> None:
    """Linear gains, discounted by the logarithm of the place."""
    question = Question("1", "where?", {A: 3, B: 1})
    found = score(question, [C, A, D, B])
    ideal = 3 + 1 / math.log2(3)
    assert found.ndcg == pytest.approx((3 / math.log2(3) + 1 / math.log2(5)) / ideal)
    assert (found.recall, found.mrr) == (1.0, 0.5)
    assert score(question, [A, B]).ndcg == pytest.approx(1)
    assert score(question, []) == Score("1", "en", 0, 0, 0)


def test_only_the_first_ten_count_but_for_the_first_right_one() -> None:
    """MRR looks on."""
    others = [Path(f"/other{n}") for n in range(10)]
    found = score(Question("1", "어디?", {A: 1}), [*others, A])
    assert (found.ndcg, found.recall, found.mrr) == (0, 0, pytest.approx(1 / 11))
    assert found.language == "ko"


def test_figures_come_with_an_interval_and_by_language() -> None:
    """The same scores always give the same one; a mean lies within."""
    scores = [Score(str(n), "ko" if n % 2 else "en", n / 10, 1, 1) for n in range(10)]
    first, again = (evaluation(scores, {}) for _ in range(2))
    assert first == again
    assert first.overall.questions == 10
    ndcg = first.overall.ndcg
    assert ndcg.mean == pytest.approx(0.45)
    assert ndcg.low < ndcg.mean < ndcg.high
    assert (first.overall.recall.low, first.overall.recall.high) == (1, 1)
    assert first.by_language["ko"].ndcg.mean == pytest.approx(0.5)
    assert first.change is None


def test_a_change_is_told_where_the_same_was_asked_before() -> None:
    """Question by question."""
    scores = [Score(str(n), "en", 0.6, 1, 1) for n in range(4)]
    change = evaluation(scores, {str(n): 0.5 for n in range(5)}).change
    assert change is not None
    assert change.mean == pytest.approx(0.1)
    assert evaluation(scores, {"0": 0.5}).change is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no question"),
        ('{"id": 1}\n', "line 1"),
        ('{"id": "1", "question": "?", "relevant": {"a": 1}}\n[]\n', "line 2"),
        ('{"id": "1", "question": "?", "relevant": {"a": 0}}', "line 1"),
        ('{"id": "1", "question": " ", "relevant": {"a": 1}}', "line 1"),
        ('{"id": "1", "question": "?", "relevant": {"a": 1}}\n' * 2, "same id"),
        ("\x00\xff", "line 1"),
    ],
)
def test_what_is_no_question_is_named(tmp_path: Path, text: str, reason: str) -> None:
    """By its line."""
    file = tmp_path / "q.jsonl"
    file.write_text(text)
    with pytest.raises(Invalid) as wrong:
        read(file)
    assert reason in wrong.value.message
    with pytest.raises(NotFound):
        read(tmp_path / "none")


def test_a_collection_is_measured_and_compared(here: Room, documents: Path) -> None:
    """Files are named relative to the questions; a file counts once, by its best passage."""
    file = documents.parent / "q.jsonl"
    asked = [
        ("1", "How is the kettle descaled?", {"documents/kettle.md": 2, "documents/gone.md": 1}),
        ("2", "여권을 잃어버렸어요", {"documents/inner/ko.md": 1}),
    ]
    lines = (json.dumps({"id": i, "question": q, "relevant": r}) for i, q, r in asked)
    file.write_text("\n".join(lines), encoding="utf-8")
    here.rag.index(WRITER, [documents])
    first = here.rag.evaluate(WRITER, file)
    assert first.by_language["ko"].ndcg.mean == 1
    english = first.by_language["en"]
    assert english.ndcg.mean == pytest.approx(2 / (2 + 1 / math.log2(3)))
    assert (english.recall.mean, english.mrr.mean) == (0.5, 1)
    assert first.change is None
    (documents / "kettle.md").unlink()
    here.rag.index(WRITER, [documents])
    change = here.rag.evaluate(WRITER, file).change
    assert change is not None
    assert change.mean == pytest.approx(-english.ndcg.mean / 2)
    with pytest.raises(Denied):
        here.rag.evaluate(READER, file)
    here.rag.remove(WRITER, "default")
    here.rag.index(WRITER, [documents / "train.txt"])
    with pytest.raises(Invalid, match="none of the files that answer"):
        here.rag.evaluate(WRITER, file)


def test_a_file_counts_once_where_its_best_passage_stands(here: Room, tmp_path: Path) -> None:
    """Three passages of another file before the right one are one place, not three."""
    folder = tmp_path / "animals"
    folder.mkdir()
    loud = "".join(f"## Otter {n}\n\notter otter otter\n\n" for n in range(3))
    (folder / "loud.md").write_text(loud, encoding="utf-8")
    (folder / "right.md").write_text(f"An otter{' and more' * 20}.\n", encoding="utf-8")
    file = tmp_path / "q.jsonl"
    asked = {"id": "1", "question": "otter", "relevant": {"animals/right.md": 1}}
    file.write_text(json.dumps(asked), encoding="utf-8")
    here.rag.index(WRITER, [folder])
    assert len(here.rag.query(READER, "otter").passages) == 4
    found = here.rag.evaluate(WRITER, file).overall
    assert found.ndcg.mean == pytest.approx(1 / math.log2(3))
    assert (found.recall.mean, found.mrr.mean) == (1, 0.5)
