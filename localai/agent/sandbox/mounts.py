"""Looks at what bubblewrap has mounted before a program starts in it.

bubblewrap follows links when it mounts. Another program that works in the same workspace could put
a link where a file or folder was that is to be kept, just then, and have something else shown.
"""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from localai.agent.sandbox.view import View
from localai.core.errors import Unavailable

_PAUSE_S, _PATIENCE_S = 0.001, 10.0

Places = Mapping[str, tuple[int, int] | None]


def places(view: View) -> Places:
    """Each path that is to be mounted and could be swapped, with what lies there now.

    What is hidden shows something else afterwards, and has no identity.
    """
    hidden = dict.fromkeys(each for each in view.hidden if not os.path.islink(each))  # noqa: PTH114 - text
    return {**hidden, **{path: _identity(path) for path in (view.workspace, *view.kept)}}


def check(process: int, expected: Places, is_running: Callable[[], bool]) -> None:
    """Wait until a process of bubblewrap's has its mounts, and compare them.

    Raises Unavailable where something else is mounted, or nothing is in time. What ended meanwhile
    runs nothing.
    """
    until = time.monotonic() + _PATIENCE_S
    while (mounted := _mounted(process)) is None:
        if not is_running():
            return
        if time.monotonic() > until:
            raise Unavailable("the sandbox was not made in time", hint="run it again")
        time.sleep(_PAUSE_S)
    for path, wanted in expected.items():
        is_same = wanted is None or _identity(f"/proc/{process}/root{path}") == wanted
        if is_running() and not (path in mounted and is_same):
            message = f"{path} was changed by another program while the sandbox was made"
            raise Unavailable(message, hint="run it again")


def _mounted(process: int) -> set[str] | None:
    """The paths that are mounted on, once all are and none of the machine's own is left."""
    with suppress(OSError):
        with open(f"/proc/{process}/mountinfo", "rb") as file:  # noqa: PTH123 - pathlib takes longer
            lines = [line.split() for line in file]
        is_left = any(words[4].startswith((b"/oldroot", b"/newroot")) for words in lines)
        if not is_left and any(_is_own_root(words) for words in lines):
            return {_plain(words[4]) for words in lines}
    return None


def _is_own_root(words: Sequence[bytes]) -> bool:
    """Whether it is the root that bubblewrap makes, in memory, after its last step."""
    is_memory = words[words.index(b"-") + 1] == b"tmpfs"
    return words[4] == b"/" and is_memory and b"ro" in words[5].split(b",")


def _plain(path: bytes) -> str:
    """Spaces, tabs, line ends and backslashes are written as octal numbers there."""
    return os.fsdecode(re.sub(rb"\\(\d{3})", lambda found: bytes([int(found[1], 8)]), path))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
