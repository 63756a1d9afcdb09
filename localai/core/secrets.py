"""Secrets: from the environment, then the OS keyring or the encrypted file of this home.

One home uses one store, chosen when its first key is made and written down, so that a keyring
that is away for a moment never leads to a second set of keys. A home that was named by `--home`
or `LOCALAI_HOME` never touches the operator's keyring.
"""

import base64
import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from localai.core.directories import Directories
from localai.core.errors import Invalid, NotFound, Unavailable
from localai.core.files import locked, private_dir, write_private
from localai.core.redact import remember
from localai.core.settings import SECRET_PREFIX

NAMES = {
    "smtp-password": "Sends mail",
    "slack-webhook-url": "Posts to Slack",
    "slack-bot-token": "Posts to Slack as a bot",
    "webhook-key": "Signs webhooks",
    "apprise-urls": "Sends through Apprise",
    "qdrant-api-key": "Opens a Qdrant server",
    "engine-api-key": "Opens an inference server",
    "database-password": "Opens PostgreSQL",
}
# The token of an MCP server, or a variable of its environment.
_OF_SERVER = re.compile(r"mcp-[a-z0-9][a-z0-9-]{0,30}(\.[A-Za-z_][A-Za-z0-9_]{0,63})?")


@dataclass(frozen=True)
class Secret:
    """A secret that can be stored, and where its value is now; never the value."""

    name: str
    use: str
    source: str | None


class Store(Protocol):
    """Where values rest: the OS keyring or an encrypted file."""

    kind: str

    def find(self, name: str) -> str | None:
        """The value, or None."""

    def put(self, name: str, value: str) -> None:
        """Keep a value."""

    def remove(self, name: str) -> None:
        """Forget a value; nothing happens where there is none."""


class Secrets:
    """The secrets and keys of one home."""

    def __init__(
        self, directories: Directories, environment: Mapping[str, str] | None = None
    ) -> None:
        self._directories = directories
        self._environment = os.environ if environment is None else environment
        self._marker = directories.keys / "store"
        self._chosen: Store | None = None
        self._keys: dict[str, bytes] = {}

    @property
    def kind(self) -> str | None:
        """Which store this home uses: keyring, file or passphrase; None before the first key."""
        try:
            return self._marker.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None

    def find(self, name: str) -> str | None:
        """The value from the environment, else from the store, else None."""
        _check(name)
        value = self._environment.get(_variable(name))
        if value is None and self.kind is not None:
            value = self._store().find(name)
        remember(value or "")
        return value

    def get(self, name: str) -> str:
        """The value; Unavailable says how to set it."""
        if (value := self.find(name)) is None:
            message = f"the secret {name} is not set"
            raise Unavailable(message, hint=f"ai secrets set {name}")
        return value

    def put(self, name: str, value: str) -> None:
        """Keep a value in the store."""
        _check(name)
        if not value:
            message = f"an empty value for {name}"
            raise Invalid(message, hint=f"to forget it: ai secrets rm {name}")
        remember(value)
        with self._alone():
            self._store().put(name, value)

    def remove(self, name: str) -> None:
        """Forget a stored value; NotFound where none is stored."""
        _check(name)
        if self.kind is None or self._store().find(name) is None:
            message = f"no stored secret {name}"
            raise NotFound(message, hint="ai secrets list")
        with self._alone():
            self._store().remove(name)

    def all(self) -> list[Secret]:
        """Every secret that can be set, with the source of its value."""
        return [Secret(name, use, self._source(name)) for name, use in NAMES.items()]

    def key(self, name: str) -> bytes:
        """A 256-bit key of our own, made at its first use and then always the same."""
        if name not in self._keys:
            self._keys[name] = self._stored_key(name)
        return self._keys[name]

    def _stored_key(self, name: str) -> bytes:
        with self._alone():
            store = self._store()
            text = store.find(name)
            if text is None:
                text = base64.b64encode(secrets.token_bytes(32)).decode()
                store.put(name, text)
        remember(text)
        return base64.b64decode(text)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        private_dir(self._directories.keys)
        with locked(self._directories.keys / "lock"):
            yield

    def _source(self, name: str) -> str | None:
        if _variable(name) in self._environment:
            return _variable(name)
        stored = self.kind is not None and self._store().find(name) is not None
        return self.kind if stored else None

    def _store(self) -> Store:
        if self._chosen is None:
            kind = self.kind
            self._chosen = self._open(kind) if kind else self._choose()
            if kind is None:
                write_private(self._marker, self._chosen.kind.encode())
        return self._chosen

    def _choose(self) -> Store:
        if self._environment.get("LOCALAI_PASSPHRASE"):
            return self._open("passphrase")
        if not self._directories.is_own_home:
            from localai.core import keychain  # noqa: PLC0415 - 150 ms for homes without one

            if keychain.is_usable():
                return self._open("keyring")
        return self._open("file")

    def _open(self, kind: str) -> Store:
        if kind == "keyring":
            from localai.core import keychain  # noqa: PLC0415 - 150 ms for homes without one

            place = hashlib.sha256(str(self._directories.data).encode()).hexdigest()[:12]
            return keychain.Keychain(f"localai-suite:{place}")
        from localai.core import vault  # noqa: PLC0415 - cryptography, for homes that use it

        passphrase = self._environment.get("LOCALAI_PASSPHRASE")
        if kind == "passphrase" and not passphrase:
            message = "the secrets of this home are locked with a passphrase"
            raise Unavailable(message, hint="set LOCALAI_PASSPHRASE")
        return vault.Vault(self._directories.keys, passphrase if kind == "passphrase" else None)


def _check(name: str) -> None:
    if name not in NAMES and not _OF_SERVER.fullmatch(name):
        message = f"no secret is called {name!r}"
        hint = f"one of {', '.join(NAMES)}, mcp-SERVER or mcp-SERVER.VARIABLE"
        raise Invalid(message, hint=hint)


def _variable(name: str) -> str:
    return SECRET_PREFIX + re.sub("[-.]", "_", name).upper()
