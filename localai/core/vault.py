"""The encrypted file: for homes without a keyring. The one file that imports cryptography.

Each value is a Fernet token (AES-128-CBC and HMAC-SHA256). The key lies in a 0600 file in a
folder apart from the database, or is derived from a passphrase by scrypt (RFC 7914). A key file
keeps secrets out of backups and logs of the database; it does not keep them from a program that
runs as the same user. A passphrase does, as long as it is not in that program's environment.
"""

import base64
import hashlib
import json
import secrets
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from localai.core.errors import Denied, Unavailable
from localai.core.files import private_dir, write_private

_SCRYPT = {"n": 2**15, "r": 8, "p": 1, "maxmem": 2**26, "dklen": 32}


class Vault:
    """Encrypted values in `secrets.json` of the folder of keys."""

    def __init__(self, folder: Path, passphrase: str | None) -> None:
        self._file = private_dir(folder) / "secrets.json"
        self.kind = "file" if passphrase is None else "passphrase"
        key = self._key_file() if passphrase is None else self._derived(passphrase)
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def find(self, name: str) -> str | None:
        """The value, or None; Denied where the key does not open it."""
        token = self._read().get(name)
        try:
            return None if token is None else self._fernet.decrypt(token.encode()).decode()
        except InvalidToken as error:
            message = "the key of this home does not open its secrets"
            hint = "check LOCALAI_PASSPHRASE, or restore the folder keys/ from a backup"
            raise Denied(message, hint=hint) from error

    def put(self, name: str, value: str) -> None:
        """Keep a value, encrypted."""
        stored = self._read()
        if stored:
            self.find(next(iter(stored)))  # one file, one key: a wrong one is told here
        self._write({**stored, name: self._fernet.encrypt(value.encode()).decode()})

    def remove(self, name: str) -> None:
        """Forget a value; nothing happens where there is none."""
        self._write({key: token for key, token in self._read().items() if key != name})

    def _key_file(self) -> bytes:
        return self._once("secrets.key", 32)

    def _derived(self, passphrase: str) -> bytes:
        salt = self._once("secrets.salt", 16)
        return hashlib.scrypt(passphrase.encode(), salt=salt, **_SCRYPT)

    def _once(self, name: str, size: int) -> bytes:
        path = self._file.with_name(name)
        if not path.exists():
            if self._file.exists():
                message = f"{path} is gone, and without it the secrets cannot be opened"
                raise Unavailable(message, hint="restore it from a backup")
            write_private(path, secrets.token_bytes(size))
        found = path.read_bytes()
        if len(found) != size:
            message = f"{path} is damaged, and without it the secrets cannot be opened"
            raise Unavailable(message, hint="restore it from a backup")
        return found

    def _read(self) -> dict[str, str]:
        try:
            stored: dict[str, str] = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            message = f"{self._file} cannot be read"
            raise Unavailable(message, hint="restore it from a backup") from error
        return stored

    def _write(self, stored: dict[str, str]) -> None:
        write_private(self._file, json.dumps(stored, indent=1).encode())
