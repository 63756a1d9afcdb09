"""What a model remembers of a conversation, kept on disk between two commands.

Reading a long conversation again takes seconds, loading its memory milliseconds. A file is of one
conversation and one `fit` (model, library and settings); what is damaged, cut short, of another
fit or not ours is removed and never loaded. Nothing depends on these files: without one, the
conversation is read again.
"""

import hashlib
import hmac
import os
import struct
import tempfile
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localai.core import log
from localai.core.errors import LocalaiError
from localai.core.files import private_dir

Buffer = bytes | bytearray | memoryview

_MAGIC: Final = b"localai-parked-1"
_MAC_BYTES: Final = 32
_HEAD: Final = struct.Struct("<Q")  # how many tokens follow, four bytes each; then the memory
_SUFFIX: Final = ".parked"


@dataclass(frozen=True)
class Parked:
    """The tokens that a model had seen, and its memory of them."""

    tokens: Sequence[int]
    memory: bytearray


class Parking:
    """The files of one folder, at most `budget` bytes; those used least lately go first.

    `key` authenticates them: a state is read by C code that trusts it. Nothing is kept of a
    conversation of which `is_there` says that it was removed.
    """

    def __init__(
        self,
        folder: Path,
        key: Callable[[], bytes],
        budget: int,
        is_there: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._folder = folder
        self._key = key
        self._budget = budget
        self._is_there = is_there

    @property
    def is_open(self) -> bool:
        """Whether anything is kept at all."""
        return self._budget > 0

    def put(self, conversation: str, fit: str, parked: Parked) -> None:
        """Keep the memory, in place of any other of the conversation, if there is room for it."""
        head = _HEAD.pack(len(parked.tokens)) + array("i", parked.tokens).tobytes()
        size = len(_MAGIC) + _MAC_BYTES + len(head) + len(parked.memory)
        if size > self._budget:
            return
        try:
            if not self._is_there(conversation):
                return
            mac = self._mac(conversation, fit, head, parked.memory)
            self._make_room(self._budget - size, but=conversation)
            self._write(conversation, _MAGIC, mac, head, parked.memory)
        except (OSError, LocalaiError) as error:
            log.write("conversation.not-parked", error)

    def get(self, conversation: str, fit: str) -> Parked | None:
        """The memory of the conversation for this fit; None where none can be trusted."""
        file = self._file(conversation)
        start = len(_MAGIC) + _MAC_BYTES
        try:
            content = memoryview(file.read_bytes())
            mac, body = content[len(_MAGIC) : start], content[start:]
            is_ours = bytes(content[: len(_MAGIC)]) == _MAGIC and hmac.compare_digest(
                mac, self._mac(conversation, fit, body)
            )
        except (OSError, LocalaiError):
            return None
        if not is_ours:
            log.write("conversation.parked-elsewhere")
            self.drop(conversation)
            return None
        with suppress(OSError):
            os.utime(file)  # it was used now
        (count,) = _HEAD.unpack_from(body)
        end = _HEAD.size + 4 * count
        return Parked(body[_HEAD.size : end].cast("i").tolist(), bytearray(body[end:]))

    def drop(self, conversation: str) -> None:
        """Forget the conversation."""
        with suppress(OSError):
            self._file(conversation).unlink(missing_ok=True)

    def trim(self) -> None:
        """Remove what is more than the budget, which may have become smaller."""
        with suppress(OSError):
            if self._folder.is_dir():
                self._make_room(self._budget)

    def _make_room(self, room: int, but: str = "") -> None:
        """Leave files of at most `room` bytes, that of one conversation aside."""
        private_dir(self._folder)
        others = [file for file in self._folder.iterdir() if file != self._file(but)]
        states = sorted(((file.stat(), file) for file in others), key=lambda each: each[0].st_mtime)
        total = sum(state.st_size for state, _ in states)
        for state, file in states:
            if total <= room:
                return
            file.unlink(missing_ok=True)
            total -= state.st_size

    def _write(self, conversation: str, *parts: Buffer) -> None:
        # Without a sync: what a power cut tears is noticed and read again.
        handle, name = tempfile.mkstemp(dir=self._folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(parts)
            Path(name).replace(self._file(conversation))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _mac(self, conversation: str, fit: str, *body: Buffer) -> bytes:
        of = hashlib.blake2b(key=self._key(), digest_size=_MAC_BYTES)
        of.update(_MAGIC + f"{conversation}\0{fit}\0".encode())
        for part in body:
            of.update(part)
        return of.digest()

    def _file(self, conversation: str) -> Path:
        return self._folder / f"{conversation}{_SUFFIX}"
