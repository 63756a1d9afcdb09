"""App: one home's rooms, each built on first touch. The only place that wires rooms together."""

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from localai.core import settings as keys
from localai.core.directories import Directories, locate
from localai.core.errors import Unavailable
from localai.core.settings import Settings

if TYPE_CHECKING:
    from localai.agent.chat import Agent
    from localai.agent.history import History
    from localai.agent.runner import Runner
    from localai.approvals.service import Approvals
    from localai.core.audit import Audit
    from localai.core.clock import Clock
    from localai.core.db import Database
    from localai.core.secrets import Secrets
    from localai.infer.engine import Engine
    from localai.infer.library import Library
    from localai.rag.service import Rag
    from localai.rbac.admin import Administration
    from localai.rbac.permissions import Actor
    from localai.rbac.service import Rbac


@dataclass(frozen=True)
class Home:
    """A home as `ai init` leaves it; `keys` names where keys and secrets rest."""

    home: str
    database: str
    profile: str
    operator: str
    roles: tuple[str, ...]
    keys: str
    is_new: bool


class App:
    """The rooms of one home. Close it when the work is done."""

    def __init__(
        self,
        home: Path | None = None,
        *,
        flags: Mapping[str, str] | None = None,
        workspace: Path | None = None,
    ) -> None:
        self.directories: Directories = locate(home)
        self.settings = Settings(self.directories.config_file, flags=flags)
        self.workspace = (workspace or Path.cwd()).absolute()

    def close(self) -> None:
        """Give back what was opened."""
        for name in ("_engines", "database"):
            if name in self.__dict__:
                self._closed(name)

    def _closed(self, name: str) -> None:
        if name == "database":
            self.database.close()
        else:
            for engine in self._engines.values():
                engine.close()

    @cached_property
    def clock(self) -> "Clock":
        """The machine's clocks."""
        from localai.core.clock import Clock

        return Clock()

    @cached_property
    def database(self) -> "Database":
        """The database; a home that lost it says so instead of beginning anew."""
        from localai.core.db import Database

        file = self.directories.database_file
        if self._anchor.exists() and not file.exists():
            message = f"the database {file} is gone, and this home had one"
            hint = f"restore it from a backup; to begin anew, remove {self._anchor}"
            raise Unavailable(message, hint=hint)
        return Database(file)

    @cached_property
    def secrets(self) -> "Secrets":
        """Secrets and keys."""
        from localai.core.secrets import Secrets

        return Secrets(self.directories)

    @cached_property
    def audit(self) -> "Audit":
        """The chained log of what was decided."""
        from localai.core.audit import Audit

        key = lambda: self.secrets.key("audit-key")  # noqa: E731 - read when a row is written
        return Audit(self.database, key, self._anchor, self.clock)

    @cached_property
    def rbac(self) -> "Rbac":
        """Users and permissions."""
        from localai.rbac.service import Rbac

        return Rbac(self.database, self.audit, self.clock)

    @cached_property
    def admin(self) -> "Administration":
        """Settings, secrets and audit, under the roles."""
        from localai.rbac.admin import Administration

        file = self.directories.config_file
        return Administration(self.rbac, self.database, self.audit, self.secrets, file)

    def sample_settings(self) -> str:
        """A commented config.toml."""
        from localai.core.config_file import sample

        return sample()

    @cached_property
    def actor(self) -> "Actor":
        """The operator; made from the login name when this home is used for the first time."""
        if not self.database.version():
            self.initialise()
        return self.rbac.operator()

    def initialise(self, profile: str | None = None) -> Home:
        """Make folders, database, keys and the operator; what is there stays."""
        from localai.core.config_file import write_setting
        from localai.core.files import private_dir

        for folder in self.directories.all:
            private_dir(folder)
        if profile is not None:
            write_setting(self.directories.config_file, keys.PROFILE.name, profile)
            self.settings = Settings(self.directories.config_file)
        self.database.upgrade()
        operator, is_new = self.rbac.ensure_operator(_login())
        return Home(
            home=str(self.directories.config),
            database=str(self.directories.database_file),
            profile=self.settings[keys.PROFILE],
            operator=operator.user_id,
            roles=self.rbac.roles(operator.user_id),
            keys=self.secrets.kind or "",
            is_new=is_new,
        )

    @property
    def _anchor(self) -> Path:
        return self.directories.keys / "audit.anchor"


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return "operator"
