"""A folder for a program's temporary files, which is gone afterwards whatever was made of it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def scratch() -> Iterator[str]:
    """A new folder of one's own."""
    folder = tempfile.mkdtemp(prefix="localai-")
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(top: str) -> None:
    """Folders are lifted to the top before they are emptied, so that no depth is too deep."""
    number = 0
    while folders := _emptied(top):
        for folder in folders:
            for inner in _emptied(folder):
                number += 1
                os.rename(inner, f"{top}/.{number}.lifted")  # noqa: PTH104 - paths as text
            os.rmdir(folder)  # noqa: PTH106 - as above
    os.rmdir(top)  # noqa: PTH106 - as above


def _emptied(folder: str) -> list[str]:
    """Remove all files of a folder; the folders in it are left, and may be moved."""
    os.chmod(folder, 0o700)  # noqa: PTH101 - as above
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.path, 0o700)  # noqa: PTH101 - as above
                folders.append(entry.path)
            else:
                os.unlink(entry.path)  # noqa: PTH108 - as above
    return folders
