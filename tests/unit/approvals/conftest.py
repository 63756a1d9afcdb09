"""A home of its own for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from approvals_home import Home, TurnableClock, build


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def home(tmp_path: Path, clock: TurnableClock) -> Iterator[Home]:
    made = build(tmp_path / "home", clock)
    yield made
    made.rbac._tally.close()
    made.database.close()
