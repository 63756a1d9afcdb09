"""Jupyter notebooks, cell by cell."""

import json
from collections.abc import Iterator
from pathlib import Path

from localai.rag.formats.archive import Unreadable
from localai.rag.sources import Part


def notebook(path: Path) -> Iterator[Part]:
    """Text and code; what code printed is left out."""
    try:
        cells = json.loads(path.read_bytes())["cells"]
        found = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise Unreadable("broken: not a notebook") from error
    for number, (kind, text) in enumerate(found, 1):
        if text.strip():
            yield Part(f"cell {number}", text, "markdown" if kind == "markdown" else "code")
