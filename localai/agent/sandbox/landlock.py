"""The reduced tier: starts a program that the kernel keeps to its folders, and outlives it.

Run as a program of its own, with the standard library alone, so that it starts in milliseconds:
`python -I -S landlock.py SPEC PROGRAM ARGV...`, SPEC being JSON with `seen`, `written` (lists of
paths), `filter` (hex) and `limits` (name to number). See landlock(7) and prctl(2).

It stays outside of what it starts, adopts what that leaves behind, and ends it. It writes one byte
to the descriptor `told` of SPEC once the program is confined, and nothing where it could not be.
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_BENEATH = 1  # LANDLOCK_RULE_PATH_BENEATH
_NO_NEW_PRIVILEGES, _SECCOMP, _SUBREAPER, _DIE_WITH_PARENT = 38, 22, 36, 1

_EXECUTE, _WRITE, _READ_FILE, _READ_FOLDER = 1, 2, 4, 8
_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}  # REFER, TRUNCATE and IOCTL_DEV came later
_OF_FILES = _EXECUTE | _WRITE | _READ_FILE | 0x4000 | 0x8000
_TCP, _SCOPED = 3, 3  # binding and connecting; abstract sockets and signals

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """The kernel's version of Landlock; 0 where it has none, or has it switched off."""
    return max(0, _call(_CREATE, None, 0, _VERSION, may_fail=True))


def confine(seen: Iterable[str], written: Iterable[str], rules: bytes) -> None:
    """Keep this process and its children to these paths and system calls, for good."""
    found = version()
    handled = _RIGHTS[max(each for each in _RIGHTS if each <= found)]
    has_network, has_scope = found >= 4, found >= 6  # noqa: PLR2004 - versions that brought them
    attributes = struct.pack("=QQQ", handled, _TCP * has_network, _SCOPED * has_scope)
    ruleset = _call(_CREATE, attributes, 8 + 8 * has_network + 8 * has_scope, 0)
    for path in seen:
        _allow(ruleset, path, _EXECUTE | _READ_FILE | _READ_FOLDER)
    for path in written:
        _allow(ruleset, path, handled)
    _prctl(_NO_NEW_PRIVILEGES, 1)
    _call(_RESTRICT, ruleset, 0, 0)
    os.close(ruleset)
    steps = ctypes.create_string_buffer(rules, len(rules))
    described = struct.pack("=HxxxxxxQ", len(rules) // 8, ctypes.addressof(steps))
    _prctl(_SECCOMP, 2, described)


def main(specification: str, program: str, argv: Sequence[str]) -> NoReturn:
    """Start it, wait for it, end what it left behind, and end as it ended."""
    spec = json.loads(specification)
    _prctl(_SUBREAPER, 1)
    _prctl(_DIE_WITH_PARENT, signal.SIGTERM)
    child = os.fork()
    if child == 0:
        _become(spec, program, argv)
    os.close(spec["told"])
    signal.signal(signal.SIGTERM, lambda *_: _kill(_children()))
    status = _status(child)
    while left := _children():
        _kill(left)
        for each in left:
            with suppress(ChildProcessError):
                os.waitpid(each, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _become(spec: Mapping[str, Any], program: str, argv: Sequence[str]) -> NoReturn:
    try:
        _prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        for name, most in spec["limits"].items():
            resource.setrlimit(getattr(resource, name), (most, most))
        confine(spec["seen"], spec["written"], bytes.fromhex(spec["filter"]))
        os.write(spec["told"], b"+")
        os.close(spec["told"])
        os.execv(program, list(argv))  # noqa: S606 - what a person approved, by its resolved path
    except OSError as error:
        os.write(2, f"{program} cannot be run: {error.strerror}\n".encode())
    os._exit(126)


def _status(child: int) -> int:
    while True:
        with suppress(InterruptedError):
            ended, status = os.wait()
            if ended == child:
                return status


def _children() -> Sequence[int]:
    """Whoever is left, whatever session it fled to: each is ours when its parent has ended."""
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123 - pathlib takes too long
        return [int(word) for word in file.read().split()]


def _kill(processes: Iterable[int]) -> None:
    for each in processes:
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        is_folder = os.path.isdir(path)  # noqa: PTH112 - as above
        allowed = rights if is_folder else rights & _OF_FILES
        _call(_ADD, ruleset, _BENEATH, struct.pack("=Qi", allowed, handle), 0)
    finally:
        os.close(handle)


def _call(number: int, *arguments: object, may_fail: bool = False) -> int:
    wide: Callable[[Any], Any] = lambda x: ctypes.c_long(x) if isinstance(x, int) else x  # noqa: E731
    result = int(_libc.syscall(ctypes.c_long(number), *map(wide, arguments)))
    if result < 0 and not may_fail:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _prctl(option: int, *arguments: object) -> None:
    wide: Callable[[Any], Any] = lambda x: ctypes.c_ulong(x) if isinstance(x, int) else x  # noqa: E731
    given = [wide(each) for each in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *given) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
