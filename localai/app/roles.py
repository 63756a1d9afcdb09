"""The models that are chosen for questions and for code, as the settings have them now."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from localai.core import settings as keys
from localai.core.errors import Invalid
from localai.core.settings import Settings

_KEYS = {"chat": keys.MODELS_CHAT, "code": keys.MODELS_CODE}


class Roles(Mapping[str, str]):
    """The name for each role; a process that lives for days sees what another one chose.

    Where config.toml cannot be read any more, what it last said holds.
    """

    def __init__(self, file: Path, flags: Mapping[str, str]) -> None:
        self._file = file
        self._flags = flags
        self._stamp: object = None
        self._names: Mapping[str, str] = {}

    def __getitem__(self, role: str) -> str:
        return self._now()[role]

    def __iter__(self) -> Iterator[str]:
        return iter(_KEYS)

    def __len__(self) -> int:
        return len(_KEYS)

    def _now(self) -> Mapping[str, str]:
        stamp = self._read_stamp()
        if stamp != self._stamp or not self._names:
            settings = Settings(self._file, flags=self._flags)
            try:
                self._names = {role: settings[key] for role, key in _KEYS.items()}
            except Invalid:
                if not self._names:
                    raise
            self._stamp = stamp
        return self._names

    def _read_stamp(self) -> object:
        """What is another one where the file was written anew."""
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
