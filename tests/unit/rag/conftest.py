"""A room of its own for every test, and a folder of documents."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rag_home import Room, room


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Room]:
    """The room."""
    made = room(tmp_path / "home")
    yield made
    made.database.close()


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Three documents about three things."""
    folder = tmp_path / "documents"
    (folder / "inner").mkdir(parents=True)
    (folder / "kettle.md").write_text(
        "# Kitchen\n\n## Kettle\n\nThe kettle is descaled with vinegar.\n", encoding="utf-8"
    )
    (folder / "train.txt").write_text("Trains leave from platform nine.\n", encoding="utf-8")
    (folder / "inner" / "ko.md").write_text(
        "# 여권\n\n여권을 잃어버리면 영사관에 신고합니다.\n", encoding="utf-8"
    )
    return folder
