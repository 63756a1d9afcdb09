"""What every test starts from: no settings of the caller's, no keyring, a home of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from localai.core import log, redact
from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.directories import Directories, locate
from localai.core.files import write_private
from localai.core.secrets import Secrets
from localai.core.tally import Tally
from localai.rbac.permissions import Actor
from localai.rbac.service import Rbac


class TurnableClock(Clock):
    """A clock that moves when a test turns it; wall and monotonic time apart, if wanted."""

    def __init__(self) -> None:
        self.wall_us = 1_760_000_000_000_000
        self.running_us = 5_000_000_000
        self.boot = "0d9c4a52-boot-one"

    def now_us(self) -> int:
        return self.wall_us

    def monotonic_us(self) -> int:
        return self.running_us

    @property
    def boot_id(self) -> str:
        return self.boot

    def advance(self, seconds: float) -> None:
        """Let time pass, as it does."""
        self.wall_us += int(seconds * 1_000_000)
        self.running_us += int(seconds * 1_000_000)

    def set_back(self, seconds: float) -> None:
        """Turn the wall clock back; monotonic time stands still."""
        self.wall_us -= int(seconds * 1_000_000)

    def reboot(self) -> None:
        """Start another boot: its monotonic time begins anew."""
        self.boot, self.running_us = "7711e0aa-boot-two", 1_000_000


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No LOCALAI_* variable, a keyring backend that refuses, no secret known from before."""
    for name in [name for name in os.environ if name.startswith("LOCALAI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.setattr(redact, "_known", [])
    monkeypatch.setattr(log, "is_strict", True)


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def home(tmp_path: Path) -> Directories:
    return locate(tmp_path / "home")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as the migrations make it; tests copy it, which saves each a third of a second."""
    file = tmp_path_factory.mktemp("migrated") / "localai.db"
    made = Database(file)
    made.upgrade()
    made.close()
    return file


@pytest.fixture
def database(home: Directories, migrated: Path) -> Iterator[Database]:
    write_private(home.database_file, migrated.read_bytes())
    opened = Database(home.database_file)
    yield opened
    opened.close()


@pytest.fixture
def secrets(home: Directories) -> Secrets:
    return Secrets(home, {})


@pytest.fixture
def audit(database: Database, secrets: Secrets, home: Directories, clock: TurnableClock) -> Audit:
    return Audit(database, lambda: secrets.key("audit-key"), home.keys / "audit.anchor", clock)


@pytest.fixture
def rbac(database: Database, audit: Audit, clock: TurnableClock) -> Rbac:
    return Rbac(database, audit, clock, Tally(database))


@pytest.fixture
def operator(rbac: Rbac) -> Actor:
    return rbac.ensure_operator("sumin")[0]
