"""Fixtures of the acceptance tests: `ai`, installed, in a home of its own."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf_models
import pytest
from terminal import Ai


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home made once; making one costs a second, and each test wants its own."""
    folder = tmp_path_factory.mktemp("made")
    assert Ai(folder / "home", folder)("init").code == 0
    return folder / "home"


@pytest.fixture
def fresh(tmp_path: Path) -> Ai:
    """`ai` in a home that does not exist yet and an empty workspace."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return Ai(tmp_path / "home", workspace)


@pytest.fixture
def ai(fresh: Ai, made: Path) -> Ai:
    """`ai` in a home that `ai init` made, and an empty workspace."""
    shutil.copytree(made, fresh.home)
    fresh.home.chmod(0o700)
    return fresh


@pytest.fixture
def with_model(ai: Ai, tmp_path: Path) -> Callable[..., str]:
    """Adds a model that says what the rules script; gives its name."""

    def add(
        rules: Sequence[tuple[str, Any]] = (),
        default: Any = "I have nothing to say.",
        name: str = "scripted",
    ) -> str:
        file = gguf_models.scripted(tmp_path / f"{name}.gguf", rules, default)
        assert ai("models", "add", file).code == 0
        return name

    return add
