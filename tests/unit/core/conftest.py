"""A desktop, with a keyring that is not the operator's."""

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from memory_keyring import TrustedMemoryKeyring

from localai.core.directories import Directories, locate


@pytest.fixture
def backend() -> Iterator[TrustedMemoryKeyring]:
    """A trusted keyring, in use for one test."""
    before = keyring.get_keyring()
    installed = TrustedMemoryKeyring()
    keyring.set_keyring(installed)
    yield installed
    keyring.set_keyring(before)


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Directories:
    """The platform's places, which may use the operator's keyring."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CONFIG", "DATA", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    return locate(None)
