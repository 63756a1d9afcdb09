"""The reduced tier: starts a program that the kernel keeps to its folders, and outlives it.

Run as a program of its own, with the standard library alone, so that it starts in milliseconds:
`python -I -S landlock.py SPEC PROGRAM ARGV...`, SPEC being a descriptor to read JSON from: `seen`,
`listed`, `written` (lists of paths), `filter` (hex), `limits` (name to number), `parent` (whose
end ends it, too). See landlock(7) and prctl(2).

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
_NO_NEW_PRIVILEGES, _SECCOMP, _SUBREAPER, _DIE_WITH_PARENT, _DROP_BOUND = 38, 22, 36, 1, 24
_CAPABILITIES_VERSION = 0x20080522

_EXECUTE, _WRITE, _READ_FILE, _READ_FOLDER = 1, 2, 4, 8
_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}  # REFER, TRUNCATE and IOCTL_DEV came later
_OF_FILES = _EXECUTE | _WRITE | _READ_FILE | 0x4000 | 0x8000
_REFER = 0x2000  # giving a file another folder
_DEVICES = 0x40 | 0x800  # making devices, of characters and of blocks: nobody may
_TCP, _SCOPED, _SIGNALS = 3, 3, 2  # binding and connecting; abstract sockets and signals
_SINCE_NETWORK, _SINCE_SCOPE = 4, 6  # versions

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """The kernel's version of Landlock; 0 where it has none, or has it switched off."""
    return max(0, _call(_CREATE, None, 0, _VERSION, may_fail=True))


def confine(
    seen: Iterable[str], listed: Iterable[str], written: Iterable[str], rules: bytes
) -> None:
    """Keep this process and its children to these paths and system calls, for good."""
    found = version()
    handled = _RIGHTS[max(each for each in _RIGHTS if each <= found)]
    has_network, has_scope = found >= _SINCE_NETWORK, found >= _SINCE_SCOPE
    attributes = struct.pack("=QQQ", handled, _TCP * has_network, _SCOPED * has_scope)
    ruleset = _call(_CREATE, attributes, 8 + 8 * has_network + 8 * has_scope, 0)
    for path in seen:
        _allow(ruleset, path, _EXECUTE | _READ_FILE | _READ_FOLDER)
    for path in listed:
        _allow(ruleset, path, _READ_FOLDER)
    for path in written:
        _allow(ruleset, path, handled & ~_DEVICES)
    _restrict(ruleset)
    steps = ctypes.create_string_buffer(rules, len(rules))
    described = struct.pack("=HxxxxxxQ", len(rules) // 8, ctypes.addressof(steps))
    _prctl(_SECCOMP, 2, described)


def main(specification: int, program: str, argv: Sequence[str]) -> NoReturn:
    """Start it, wait for it, end what it left behind, and end as it ended."""
    with open(specification, encoding="ascii") as file:
        spec = json.load(file)
    _prctl(_SUBREAPER, 1)
    _prctl(_DIE_WITH_PARENT, signal.SIGTERM)
    if os.getppid() != spec["parent"]:
        os._exit(126)
    kill = _everybody if _is_alone(spec["parent"]) else _kill_children
    signal.signal(signal.SIGTERM, lambda *_: kill())
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _become(spec, program, argv)
    os.close(spec["told"])
    code = os.waitstatus_to_exitcode(_status(child))
    while True:
        kill()
        try:
            os.wait()
        except ChildProcessError:
            os._exit(code if code >= 0 else 128 - code)


def _become(spec: Mapping[str, Any], program: str, argv: Sequence[str]) -> NoReturn:
    try:
        _prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        _drop_capabilities()
        for name, most in spec["limits"].items():
            resource.setrlimit(getattr(resource, name), (most, most))
        confine(spec["seen"], spec["listed"], spec["written"], bytes.fromhex(spec["filter"]))
        os.write(spec["told"], b"+")
        os.close(spec["told"])
        os.execv(program, list(argv))  # noqa: S606 - what a person approved, by its resolved path
    except OSError as error:
        os.write(2, f"{program} cannot be run: {error.strerror}\n".encode())
    os._exit(126)


def _drop_capabilities() -> None:
    """Root is somebody like others here: it owns its files, and can do nothing else."""
    number = 0
    while _libc.prctl(_DROP_BOUND, number, 0, 0, 0) == 0:
        number += 1
    if _libc.capset(struct.pack("=Ii", _CAPABILITIES_VERSION, 0), bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "the capabilities cannot be dropped")


def _is_alone(parent: int) -> bool:
    """Enter a domain out of which no signal leads, where the kernel has such; prove that it is one.

    What is started from here is in it, too, so that one signal to everybody ends all of that at
    once, however fast it multiplies, and nothing else.
    """
    if version() < _SINCE_SCOPE or not _can_signal(parent):
        return False
    ruleset = _call(_CREATE, struct.pack("=QQQ", _REFER, 0, _SIGNALS), 24, 0)
    _allow(ruleset, "/", _REFER)  # which is forbidden wherever it is not allowed
    _restrict(ruleset)
    return not _can_signal(parent)


def _can_signal(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True


def _everybody() -> None:
    with suppress(OSError):
        os.kill(-1, signal.SIGKILL)


def _kill_children() -> None:
    """Without such a domain: each is ours, whatever session it fled to, when its parent is gone."""
    for each in _children():
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def _status(child: int) -> int:
    while True:
        ended, status = os.wait()
        if ended == child:
            return status


def _children() -> Sequence[int]:
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123 - pathlib takes too long
        return [int(word) for word in file.read().split()]


def _restrict(ruleset: int) -> None:
    _prctl(_NO_NEW_PRIVILEGES, 1)
    _call(_RESTRICT, ruleset, 0, 0)
    os.close(ruleset)


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
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
