"""How often a function of this source is found first by its name, cut by functions and not.

    python benchmarks/code_cuts.py

Indexes the package twice, and asks for 300 functions whose names are defined once.
"""

import ast
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from rag_home import WRITER, room  # noqa: E402 - tests are no package

from localai.rag import documents  # noqa: E402
from localai.rag.records import Passage  # noqa: E402

PACKAGE = ROOT / "localai"
QUESTIONS = 300
Function = tuple[str, str, int]  # name, file, line


def functions() -> list[Function]:
    found = [
        (node.name, file.relative_to(PACKAGE).as_posix(), node.lineno)
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("__")
    ]
    times = Counter(name for name, _, _ in found)
    once = [each for each in found if times[each[0]] == 1]
    return random.Random(7).sample(once, min(QUESTIONS, len(once)))


def holds(passage: Passage, file: str, line: int) -> bool:
    first, last = (int(each[1:]) for each in passage.location.split("-"))
    return passage.source == file and first <= line <= last


def measure(label: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        here = room(Path(folder))
        report = here.rag.index(WRITER, [PACKAGE], exclude=["*.json", "*.md"])
        first = five = 0
        for name, file, line in asked:
            passages = here.rag.query(WRITER, name, k=5).passages
            hits = [holds(each, file, line) for each in passages]
            first += hits[:1] == [True]
            five += any(hits)
        here.database.close()
    shares = f"first {first / len(asked):.3f}, among five {five / len(asked):.3f}"
    print(f"{label}: {shares}, {report.chunks} passages", flush=True)


asked = functions()
with patch.object(documents, "has_grammar", lambda _: False):
    measure("blank lines")
measure("functions")
