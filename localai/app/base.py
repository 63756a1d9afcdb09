"""What every room stands on: settings, the database, keys, the audit, people."""

import getpass
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from localai.core import settings as keys
from localai.core.directories import Directories, locate, project
from localai.core.errors import Denied, Invalid, Unavailable
from localai.core.line.place import Listener, Place
from localai.core.redact import remember
from localai.core.settings import Key, Settings

if TYPE_CHECKING:
    from collections.abc import Collection

    from localai.approvals.policy import Mode
    from localai.core.audit import Audit
    from localai.core.clock import Clock
    from localai.core.db import Database
    from localai.core.line.client import Line
    from localai.core.log_reader import Tail
    from localai.core.secrets import Secrets
    from localai.core.tally import Tally
    from localai.rag.models import RankingModel
    from localai.rbac.admin import Administration
    from localai.rbac.keys import Keys
    from localai.rbac.models import ModelRights
    from localai.rbac.permissions import Actor
    from localai.rbac.quotas import Quotas
    from localai.rbac.service import Rbac
    from localai.rbac.users import Users


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


class Ground(ABC):
    """What every room stands on: settings, the database, keys, the audit, people."""

    def __init__(
        self,
        home: Path | None = None,
        *,
        flags: Mapping[str, str] | None = None,
        workspace: Path | None = None,
        acting_as: str | None = None,
    ) -> None:
        self.directories: Directories = locate(home)
        self._acting_as = acting_as
        self._flags = dict(flags or {})
        self._ranks: RankingModel | None = None
        self._line: Line | None = None
        self._deaf: Listener | None = None
        self.kept_loaded_s = 0
        self._read_settings()
        self.workspace = (workspace or Path.cwd()).absolute()

    def _read_settings(self) -> None:
        self.settings = Settings(self.directories.config_file, flags=self._flags)

    def keep_log(self, command: str | None = None) -> None:
        """Write this process's log into this home; `command` is the noun and verb that began it."""
        from localai.core import log

        try:
            level = self.settings[keys.LOG_LEVEL]
        except Invalid:  # `ai config check` tells; the command that mends it must still run
            level = keys.LOG_LEVEL.default
        log.configure(self._log_file, level, command)

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
        is_there = file.exists() and file.stat().st_size > 0
        if self._anchor.exists() and not is_there:
            message = f"the database {file} is gone, and this home had one"
            hint = f"restore it from a backup; to begin anew, remove {self._anchor}"
            raise Unavailable(message, hint=hint)
        return Database(file)

    @cached_property
    def tally(self) -> "Tally":
        """What counts what changes no state."""
        from localai.core.tally import Tally

        return Tally(self.database)

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

        return Rbac(self.database, self.audit, self.clock, self.tally)

    @cached_property
    def users(self) -> "Users":
        """Users and roles."""
        from localai.rbac.users import Users

        return Users(self.database, self.audit, self.rbac, self.clock)

    @cached_property
    def api_keys(self) -> "Keys":
        """API keys."""
        from localai.rbac.keys import Keys

        pepper = lambda: self.secrets.key("api-key-pepper")  # noqa: E731 - read when it is needed
        stands_on = (self.database, self.audit, self.rbac, self.clock, pepper)
        return Keys(*stands_on, self._askable)

    @abstractmethod
    def _askable(self, actor: "Actor") -> "Collection[str]":
        """What a key can be for, by the rooms above."""

    @cached_property
    def model_rights(self) -> "ModelRights":
        """Which models a key is for."""
        from localai.rbac.models import ModelRights

        return ModelRights(self.database, self.audit, self.rbac)

    @cached_property
    def quotas(self) -> "Quotas":
        """How much a key may ask for."""
        from localai.rbac.quotas import Quotas

        return Quotas(self.database, self.audit, self.clock, self.rbac.allowance)

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

    @property
    def _mode(self) -> "Mode":
        return "strict" if self.settings[keys.SECURITY_MODE] == "strict" else "normal"

    def _is_on(self, switch: Key[bool]) -> bool:
        """What protects is on unless somebody developing has switched it off."""
        if self._mode == "strict" and not self.settings[switch]:
            message = f"strict mode refuses {switch.name} = false"
            raise Denied(message, hint=f"ai config set {switch.name} true")
        return self.settings[switch]

    @cached_property
    def actor(self) -> "Actor":
        """Whose LOCALAI_API_KEY it is, else the operator, who may act as another user.

        The operator is made from the login name when this home is used for the first time.
        """
        if (key := os.environ.get("LOCALAI_API_KEY")) is not None:
            if self._acting_as:
                message = "an API key acts as its own user"
                raise Denied(message, hint="unset LOCALAI_API_KEY, or leave out --as")
            remember(key)
            return self.api_keys.authenticate(key)
        found = self.rbac.find_operator() if self.database.version() else None
        operator = found or self._make()[0]
        return self.users.trial(operator, self._acting_as) if self._acting_as else operator

    def initialise(self, profile: str | None = None) -> Home:
        """Make folders, database, keys and the operator; what is there stays."""
        from localai.core.config_file import write_setting

        if profile is not None:
            write_setting(self.directories.config_file, keys.PROFILE.name, profile)
            self._read_settings()
        operator, is_new = self._make()
        return Home(
            home=str(self.directories.config),
            database=str(self.directories.database_file),
            profile=self.settings[keys.PROFILE],
            operator=operator.user_id,
            roles=self.rbac.roles(operator.user_id),
            keys=self.secrets.kind or "",
            is_new=is_new,
        )

    def _make(self) -> tuple["Actor", bool]:
        from localai.core.files import private_dir

        try:
            for folder in self.directories.all:
                private_dir(folder)
        except OSError as error:
            message = f"this home cannot be made: {error.strerror}: {error.filename}"
            raise Unavailable(message, hint="ai --home DIR ... takes another place") from error
        self.database.upgrade()
        return self.rbac.ensure_operator(_login())

    @property
    def line_place(self) -> Place:
        """Where the processes of this home find the one that serves it."""
        return Place(self.directories.data / "serve")

    def keep_loaded(self, seconds: int) -> None:
        """Keep models and indexes loaded for others until nobody has used them for so long."""
        self.kept_loaded_s = seconds

    def line(self) -> "Line | None":
        """The process that serves this home and keeps things loaded, if it is another one."""
        if self.kept_loaded_s:
            return None
        if self._line is None or not self._line.is_open():
            self._line = self._find_line()
        return self._line

    def _find_line(self) -> "Line | None":
        listener = self.line_place.read()
        if listener == self._deaf:  # None at first: where nobody listens, nothing is loaded to ask
            return None
        from localai.core.line.client import find

        found = find(self.line_place)
        self._deaf = listener if found is None else None
        return found

    @property
    def _log_file(self) -> Path:
        return self.settings[keys.LOG_FILE] or self.directories.logs / "localai.log"

    def logs(self, actor: "Actor") -> "Tail":
        """What every process of this home logged."""
        from localai.core.log_reader import Tail

        self.rbac.require(actor, "audit:read")
        self.tally.flush()
        self.database.close()  # whoever follows for days holds nothing open
        return Tail(self._log_file)

    @property
    def _anchor(self) -> Path:
        return self.directories.keys / "audit.anchor"

    @property
    def project(self) -> str:
        """The git repository that the workspace is in; empty where it is in none."""
        return project(self.workspace)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return "operator"
