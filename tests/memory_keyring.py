"""A keyring in memory, for tests of what we do with the operator's."""

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError, PasswordSetError


class MemoryKeyring(KeyringBackend):
    """Keeps values in a dictionary; its three troubles make it refuse."""

    priority = 0.1

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[tuple[str, str], str] = {}
        self.calls = 0
        self.is_locked = False
        self.is_read_only = False
        self.is_away = False

    def get_password(self, service: str, username: str) -> str | None:
        self._called()
        return self.values.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._called()
        if self.is_read_only:
            raise PasswordSetError("read only")
        self.values[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._called()
        if (service, username) not in self.values:
            raise PasswordDeleteError("not found")
        del self.values[service, username]

    def _called(self) -> None:
        self.calls += 1
        if self.is_away:
            raise FileNotFoundError("the bus")
        if self.is_locked:
            raise KeyringLocked("locked")


class TrustedMemoryKeyring(MemoryKeyring):
    """The same, passing for the backend of a desktop.

    keychain.py trusts backends by the module that defines them, so this class carries such a
    module's name: what is tested is what we do with a trusted keyring, not the trust itself.
    """

    __module__ = "memory_keyring.SecretService"
