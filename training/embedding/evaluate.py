"""nDCG@10 of dense-only retrieval on the Cranfield collection, for the student and its teacher.

The collection stays outside the repository: its folder is an argument.
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import minilm
import numpy as np
from student import embedder
from teacher import Teacher

DEPTH = 10
HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "localai" / "rag" / "models" / "static-192"


def _records(path: Path, field: str) -> list[str]:
    """One text a record: the named SMART field."""
    records = re.split(r"^\.I .*$", path.read_text("latin-1"), flags=re.MULTILINE)[1:]
    parts = (re.split(r"^\.([A-Z])\s*$", record, flags=re.MULTILINE)[1:] for record in records)
    pairs = (zip(part[::2], part[1::2], strict=True) for part in parts)
    return [" ".join(" ".join(t for f, t in pair if f == field).split()) for pair in pairs]


def _relevant(path: Path) -> dict[int, set[int]]:
    """Row numbers of the documents judged relevant, by row number of the question."""
    relevant: dict[int, set[int]] = {}
    for line in path.read_text().splitlines():
        question, document, grade = line.split()
        # Grade -1 marks the paper that the question was made from: not a judgement.
        if int(grade) > 0:
            relevant.setdefault(int(question) - 1, set()).add(int(document) - 1)
    return relevant


def ndcg(documents: np.ndarray, questions: np.ndarray, relevant: dict[int, set[int]]) -> float:
    """Mean nDCG@10 with binary gains; rows are unit vectors."""
    gains = 1 / np.log2(np.arange(2, DEPTH + 2))
    order = np.argsort(-(questions @ documents.T), axis=1, kind="stable")[:, :DEPTH]
    scores = [
        gains[np.isin(order[q], list(found))].sum() / gains[: len(found)].sum()
        for q, found in relevant.items()
    ]
    return float(np.mean(scores))


def _report(name: str, embed: Callable[[list[str]], np.ndarray], folder: Path) -> None:
    documents = embed(_records(folder / "cran.all.1400", "W"))
    questions = embed(_records(folder / "cran.qry", "W"))
    print(f"{name} {ndcg(documents, questions, _relevant(folder / 'cranqrel')):.3f}")


def main() -> None:
    """Print one line a model: its name and its nDCG@10."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cranfield", type=Path, help="folder of cran.all.1400, cran.qry, cranqrel")
    parser.add_argument("--model", type=Path, default=SHIPPED, help="folder of the student")
    parser.add_argument("--teacher", action="store_true", help="measure the teacher too (minutes)")
    parser.add_argument("--minilm", type=Path, help="measure the model of this folder, too")
    args = parser.parse_args()
    _report("student", embedder(args.model), args.cranfield)
    if args.minilm:
        _report("minilm", minilm.embedder(args.minilm), args.cranfield)
    if args.teacher:
        teacher = Teacher(threads=2)
        _report("teacher", lambda texts: np.array([*map(teacher.of_text, texts)]), args.cranfield)


if __name__ == "__main__":
    main()
