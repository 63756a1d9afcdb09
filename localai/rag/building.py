"""Indexes that are being made: one at a time, and none of them stays without its collection."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from localai.core.errors import Conflict, LocalaiError
from localai.core.files import private_dir
from localai.rag.catalog import Catalog, Entry
from localai.rag.index import destroy

_DIRECTORY = re.compile(r"[0-9a-f]{16}")


@contextmanager
def building(data: Path, catalog: Catalog, new: Entry, old: Entry | None) -> Iterator[None]:
    """Make the index of `new`, perhaps in place of `old`, in the folder of all indexes.

    A ledger names both while this lasts. In the end the index that no collection has is removed:
    the new one after a failure, the old one after a success, and after a kill by the next call.
    """
    ledger = private_dir(data) / "importing"
    handle = os.open(ledger, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(handle)
        _sweep(ledger, catalog)
        _write(ledger, [each.directory for each in (new, old) if each])
        try:
            yield
        finally:
            with suppress(LocalaiError):
                _sweep(ledger, catalog)
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        message = "another import is under way"
        raise Conflict(message, hint="try again when it is done") from error


def _sweep(ledger: Path, catalog: Catalog) -> None:
    """Remove what the ledger names and no collection has; it keeps what somebody holds."""
    named = filter(_DIRECTORY.fullmatch, _read(ledger))
    gone = sorted(set(named) - catalog.directories())
    _write(ledger, [name for name in gone if not _is_removed(ledger.with_name(name))])


def _is_removed(folder: Path) -> bool:
    try:
        destroy(folder)
    except Conflict:
        return False
    return True


def _read(ledger: Path) -> list[str]:
    return ledger.read_text(encoding="utf-8").splitlines()


def _write(ledger: Path, names: list[str]) -> None:
    ledger.write_text("\n".join(names), encoding="utf-8")
