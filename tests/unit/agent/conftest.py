"""A home, a workspace and a runner over the tools that ship."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from approvals_home import Home, TurnableClock, build

from localai.agent.builtin import registry
from localai.agent.runner import Rules, Runner
from localai.agent.sandbox.tiers import Sandbox
from localai.agent.tools import Context


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def home(tmp_path: Path, clock: TurnableClock) -> Iterator[Home]:
    made = build(tmp_path / "home", clock)
    yield made
    made.rbac._tally.close()
    made.database.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def context(workspace: Path) -> Context:
    return Context(workspace)


@pytest.fixture
def runner(home: Home, workspace: Path) -> Runner:
    return Runner(
        registry(Sandbox(enabled=False)),
        home.approvals,
        home.rbac.require,
        Rules(),
        workspace=workspace,
        protected=home.directories.all,
    )
