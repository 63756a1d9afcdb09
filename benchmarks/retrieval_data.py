"""Two test collections for retrieval, as folders of files and questions about them.

Cranfield (Cleverdon 1967): `cran.all.1400`, `cran.qry`, `cranqrel`; KorQuAD 1.0's development set:
`KorQuAD_v1.0_dev.json`. Neither is ours to ship.
"""

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

from localai.rag.evaluate import Question


@dataclass(frozen=True)
class TestSet:
    """Documents that lie in `folder`, one a file, and questions about them."""

    name: str
    folder: Path
    questions: list[Question]


def cranfield(source: Path, folder: Path) -> TestSet:
    """1,400 abstracts and 225 questions; what is judged relevant at all counts as 1."""
    documents = [_written(folder, n, text) for n, text in enumerate(_records(source, "all.1400"))]
    asked = _records(source, "qry")
    relevant: dict[int, dict[Path, int]] = {}
    for line in (source / "cranqrel").read_text().splitlines():
        question, document, grade = map(int, line.split())
        # Grade -1 marks the paper that the question was made from: not a judgement.
        if grade > 0:
            relevant.setdefault(question - 1, {})[documents[document - 1]] = 1
    questions = [Question(str(n), asked[n], paths) for n, paths in relevant.items()]
    return TestSet("Cranfield", folder, questions)


def korquad(source: Path, folder: Path) -> TestSet:
    """964 paragraphs and 5,774 questions, each answered by the paragraph it was made from."""
    text = (source / "KorQuAD_v1.0_dev.json").read_text(encoding="utf-8")
    paragraphs = [each for article in json.loads(text)["data"] for each in article["paragraphs"]]
    questions = []
    for n, paragraph in enumerate(paragraphs):
        path = _written(folder, n, paragraph["context"])
        questions += [Question(qa["id"], qa["question"], {path: 1}) for qa in paragraph["qas"]]
    return TestSet("KorQuAD", folder, questions)


def sampled(found: TestSet, size: int | None) -> TestSet:
    """The set with at most so many of its questions, always the same ones."""
    if size is None or size >= len(found.questions):
        return found
    chosen = random.Random(1).sample(found.questions, size)
    return TestSet(found.name, found.folder, chosen)


def _written(folder: Path, number: int, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.resolve() / f"{number:04}.txt"
    path.write_text(text, encoding="utf-8")
    return path


def _records(source: Path, name: str) -> list[str]:
    """The text field of each record of a file in SMART format; it begins with the title."""
    text = (source / f"cran.{name}").read_text("latin-1")
    records = re.split(r"^\.I .*$", text, flags=re.MULTILINE)[1:]
    return [_field(re.split(r"^\.([A-Z])\s*$", record, flags=re.MULTILINE)) for record in records]


def _field(parts: list[str]) -> str:
    return "\n".join(
        text.strip() for field, text in zip(parts[1::2], parts[2::2], strict=True) if field == "W"
    )
