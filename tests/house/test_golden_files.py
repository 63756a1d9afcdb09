"""The questions by which retrieval is measured name files that are there."""

from pathlib import Path

import pytest

from localai.rag.evaluate import read

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
FILES = sorted(GOLDEN.glob("*.jsonl"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.name))
def test_every_file_that_answers_is_there(file: Path) -> None:
    """A page that was moved or removed takes its questions along."""
    named = {path for question in read(file) for path in question.relevant}
    assert [str(path) for path in sorted(named) if not path.is_file()] == []


def test_there_are_enough_questions_in_both_languages() -> None:
    """150 and more, half of them Korean, about 20 documents of each kind and more."""
    questions = read(GOLDEN / "questions.jsonl")
    korean = sum(question.language == "ko" for question in questions)
    assert len(questions) >= 150
    assert 0.45 <= korean / len(questions) <= 0.55
    assert len(list((GOLDEN / "corpus").iterdir())) >= 20
