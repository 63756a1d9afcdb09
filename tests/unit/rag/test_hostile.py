"""Every hostile file of a folder is indexed or named with its reason, and the run goes on."""

import re
from pathlib import Path

import pytest
from hostile_files import INDEXED, cases
from rag_home import WRITER, room

from localai.rag.sources import shown


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them, a good file before and after each kind, and a folder named like a document."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, (make, _) in cases().items():
        make(folder / name)
    (folder / "folder.pdf").mkdir()
    (folder / "folder.pdf" / "inside.md").write_text("The otter is inside.", "utf-8")
    (folder / "zz.md").write_text("The good file that comes last.", "utf-8")
    return folder


@pytest.fixture(scope="module")
def outcome(hostile: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What became of each, by the name that is shown."""
    here = room(tmp_path_factory.mktemp("home"))
    report = here.rag.index(WRITER, [hostile])
    found = {each.source: each.reason for each in report.skipped}
    files = here.catalog.files("default").values()
    return found | {file.source: INDEXED for file in files if file.sha256}


@pytest.mark.parametrize("name", cases())
def test_each_is_indexed_or_named_with_a_reason(outcome: dict[str, str], name: str) -> None:
    """In bounded time and memory: none of these may come near the limits of who reads it."""
    said = outcome[shown(Path(name), Path())]
    assert re.match("|".join(f".*{each}" for each in cases()[name][1].split("|")), said), said
    assert not re.match("not read within|takes more than|killed", said)


def test_what_comes_after_them_is_indexed(outcome: dict[str, str]) -> None:
    """Also in a folder that is named like a document."""
    assert outcome["zz.md"] == outcome["folder.pdf/inside.md"] == INDEXED
    assert len(outcome) == len(cases()) + 2
