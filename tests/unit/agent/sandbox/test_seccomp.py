"""The filter of system calls, run by an interpreter of its own instructions."""

import errno
import struct

import pytest

from localai.agent.sandbox import seccomp

_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_REFUSE = 0x00050000
_X86, _ARM = 0xC000003E, 0xC00000B7


def _decided(rules: bytes, number: int, *arguments: int, machine: int) -> int:
    """What the filter answers, as the kernel's documentation has its instructions."""
    values = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number, machine, 0, *values)
    steps = list(struct.iter_unpack("=HBBI", rules))
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, value = steps[at]
        at += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
            continue
        is_true = {
            0x15: accumulator == value,
            0x35: accumulator >= value,
            0x45: bool(accumulator & value),
        }[code]
        at += if_true if is_true else if_false


@pytest.fixture(params=[("x86_64", _X86), ("aarch64", _ARM)], ids=["x86-64", "aarch64"])
def machine(request: pytest.FixtureRequest) -> tuple[str, int]:
    found: tuple[str, int] = request.param
    return found


def test_each_refused_call_is_refused_and_the_others_go_on(machine: tuple[str, int]) -> None:
    """By number, whatever the arguments; nothing else is."""
    name, audit = machine
    rules = seccomp.program(name, is_apart=True)
    refused = {*seccomp._REFUSED[name].values(), *seccomp._REFUSED_EVERYWHERE.values()}
    for number in range(500):
        wanted = _ALLOW
        if number in refused:
            wanted = _REFUSE | errno.EPERM
        elif number == seccomp._NUMBERS[name]["socket"]:
            wanted = _REFUSE | errno.EAFNOSUPPORT
        elif number in seccomp._UNKNOWN[name].values():
            wanted = _REFUSE | errno.ENOSYS
        assert _decided(rules, number, machine=audit) == wanted, number


def test_threads_and_processes_are_made_and_namespaces_are_not(machine: tuple[str, int]) -> None:
    """The flags of clone decide; each of the seven namespaces is refused."""
    name, audit = machine
    rules, clone = seccomp.program(name, is_apart=True), seccomp._NUMBERS[name]["clone"]
    assert _decided(rules, clone, 0x3D0F00, machine=audit) == _ALLOW  # as glibc makes a thread
    assert _decided(rules, clone, 0x01200011, machine=audit) == _ALLOW  # as glibc forks
    for bit in (17, 25, 26, 27, 28, 29, 30):
        assert _decided(rules, clone, 0x11 | 1 << bit, machine=audit) == _REFUSE | errno.EPERM


def test_nothing_is_typed_into_the_terminal(machine: tuple[str, int]) -> None:
    """TIOCSTI and TIOCLINUX are refused; asking for the size of a window is not."""
    name, audit = machine
    rules, ioctl = seccomp.program(name, is_apart=True), seccomp._NUMBERS[name]["ioctl"]
    assert _decided(rules, ioctl, 0, 0x5412, machine=audit) == _REFUSE | errno.EPERM
    assert _decided(rules, ioctl, 0, 0x541C, machine=audit) == _REFUSE | errno.EPERM
    assert _decided(rules, ioctl, 0, 0x5413, machine=audit) == _ALLOW


def test_sockets_are_those_of_a_network_namespace_or_none(machine: tuple[str, int]) -> None:
    """Apart from others they lead nowhere; a virtual machine's host is reached by none."""
    name, audit = machine
    socket = seccomp._NUMBERS[name]["socket"]
    apart = seccomp.program(name, is_apart=True)
    among = seccomp.program(name, is_apart=False)
    for family in range(48):
        is_known = family in {1, 2, 10, 16}
        wanted = _ALLOW if is_known else _REFUSE | errno.EAFNOSUPPORT
        assert _decided(apart, socket, family, machine=audit) == wanted
        assert _decided(among, socket, family, machine=audit) == _REFUSE | errno.EPERM


def test_no_file_is_made_that_runs_as_its_owner(machine: tuple[str, int]) -> None:
    """By any call that gives a mode; a call that opens gives one only where it makes a file."""
    name, audit = machine
    rules, numbers = seccomp.program(name, is_apart=True), seccomp._NUMBERS[name]
    places = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "creat": 1, "mknod": 1}
    for call, place in {**places, "mknodat": 2}.items():
        if call in numbers:
            for mode, wanted in ((0o777, _ALLOW), (0o1755, _ALLOW), (0o4755, 1), (0o2755, 1)):
                arguments = [0] * place + [mode]
                expected = wanted if wanted == _ALLOW else _REFUSE | errno.EPERM
                assert _decided(rules, numbers[call], *arguments, machine=audit) == expected, call
    for flags, wanted in ((0, _ALLOW), (0o100, _REFUSE | 1), (0o20200000, _REFUSE | 1)):
        assert _decided(rules, numbers["openat"], 0, 0, flags, 0o4755, machine=audit) == wanted
    assert _decided(rules, numbers["openat"], 0, 0, 0o100, 0o755, machine=audit) == _ALLOW


def test_among_others_a_program_bounds_and_slows_itself_alone(machine: tuple[str, int]) -> None:
    """In the reduced tier; apart from them it sees no other process."""
    name, audit = machine
    numbers = seccomp._NUMBERS[name]
    apart = seccomp.program(name, is_apart=True)
    among = seccomp.program(name, is_apart=False)
    for call, itself, another in (
        ("prlimit64", (0, 7), (1, 7)),
        ("sched_setaffinity", (0,), (1,)),
        ("sched_setscheduler", (0,), (1,)),
        ("sched_setparam", (0,), (1,)),
        ("sched_setattr", (0,), (1,)),
        ("setpriority", (0, 0), (0, 1)),
        ("setpriority", (0, 0), (2, 0)),
        ("ioprio_set", (1, 0), (1, 5)),
        ("ioprio_set", (1, 0), (3, 0)),
    ):
        assert _decided(among, numbers[call], *itself, machine=audit) == _ALLOW, call
        assert _decided(among, numbers[call], *another, machine=audit) == _REFUSE | 1, call
        assert _decided(apart, numbers[call], *another, machine=audit) == _ALLOW, call


def test_among_others_nothing_is_shared_that_is_no_file(machine: tuple[str, int]) -> None:
    """Memory, semaphores and queues of other programs have no path that could be forbidden."""
    name, audit = machine
    for number in seccomp._SHARED[name].values():
        refused = seccomp.program(name, is_apart=False)
        assert _decided(refused, number, machine=audit) == _REFUSE | errno.EPERM
        assert _decided(seccomp.program(name, is_apart=True), number, machine=audit) == _ALLOW


def test_calls_by_the_numbers_of_another_machine_end_the_program() -> None:
    """The i386 and x32 calls of an x86-64 kernel have other numbers for the same things."""
    rules = seccomp.program("x86_64", is_apart=True)
    assert _decided(rules, 1, machine=0x40000003) == _KILL
    assert _decided(rules, 0x40000000 | 165, machine=_X86) == _KILL
    assert _decided(seccomp.program("aarch64", is_apart=True), 1, machine=_X86) == _KILL


def test_a_machine_that_is_not_known_has_no_filter() -> None:
    """Rather no sandbox than one of the wrong numbers."""
    assert not seccomp.is_known("riscv64")
    assert seccomp.is_known("aarch64")
