"""The OS keyring: Secret Service, KWallet, macOS Keychain, Windows Credential Locker.

The one file that imports keyring. Backends that keep plain text are never used.
"""

import contextlib
from collections.abc import Iterator

import keyring
from keyring.errors import PasswordDeleteError

from localai.core.errors import Unavailable

_TRUSTED = ("SecretService", "libsecret", "kwallet", "macOS", "Windows")
_PROBE = "localai-suite:probe"


class Keychain:
    """Values in the operator's keyring, under a service name of this home's own."""

    kind = "keyring"

    def __init__(self, service: str) -> None:
        self._service = service

    def find(self, name: str) -> str | None:
        """The value, or None."""
        with _translated():
            return keyring.get_password(self._service, name)

    def put(self, name: str, value: str) -> None:
        """Keep a value."""
        with _translated():
            keyring.set_password(self._service, name, value)

    def remove(self, name: str) -> None:
        """Forget a value; nothing happens where there is none."""
        with _translated(), contextlib.suppress(PasswordDeleteError):
            keyring.delete_password(self._service, name)


def is_usable() -> bool:
    """Prove by writing, reading and removing that a trusted keyring works here."""
    try:
        backend = keyring.get_keyring()
        backends = getattr(backend, "backends", [backend])
        if not any(type(each).__module__.endswith(_TRUSTED) for each in backends):
            return False
        keyring.set_password(_PROBE, "probe", "probe")
        is_kept = keyring.get_password(_PROBE, "probe") == "probe"
        keyring.delete_password(_PROBE, "probe")
    # Also what lies below it: a bus that is not there, a module that the settings misspell.
    except Exception:  # noqa: BLE001
        return False
    return is_kept


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # keyring passes on what its backends raise
        message = "the OS keyring does not answer"
        raise Unavailable(message, hint="unlock it, then retry; ai doctor says more") from error
