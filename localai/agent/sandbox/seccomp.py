"""The filter of system calls that a confined program lives with, as classic BPF. Pure.

It is an allow-by-default filter: what stays out is what changes the machine, looks into other
processes, makes a namespace in which other rules hold, holds memory that nobody counts, or leaves
a file that runs with its owner's rights. See seccomp(2) and the kernel's
Documentation/userspace-api/seccomp_filter.rst.
"""

import errno
import struct
from collections.abc import Iterator, Mapping, Sequence

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL = 0x80000000

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

# Offsets in struct seccomp_data; the low half of an argument, both machines being little-endian.
_NUMBER, _MACHINE, _FIRST, _SECOND, _THIRD, _FOURTH = 0, 4, 16, 24, 32, 40

_X32 = 0x40000000  # the same numbers again, for another ABI of x86-64
_NEW_NAMESPACE = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_FAMILIES = (1, 2, 10, 16)  # local, IPv4, IPv6, and the kernel's own, which tells of networks
_AS_OWNER = 0o6000  # a file that runs with the rights of its owner or of its group
_MAKES_FILE = 0o20000100  # O_CREAT and O_TMPFILE: only with them is there a mode
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: they type into the operator's terminal

_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# Numbers from 424 on are the same on both.
_REFUSED = {
    "x86_64": {
        "ptrace": 101, "syslog": 103, "personality": 135, "vhangup": 153, "pivot_root": 155,
        "adjtimex": 159, "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165,
        "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170,
        "setdomainname": 171, "iopl": 172, "ioperm": 173, "init_module": 175,
        "delete_module": 176, "quotactl": 179, "lookup_dcookie": 212, "clock_settime": 227,
        "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
        "migrate_pages": 256, "unshare": 272, "move_pages": 279, "perf_event_open": 298,
        "fanotify_init": 300, "name_to_handle_at": 303, "open_by_handle_at": 304,
        "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
        "kcmp": 312, "finit_module": 313, "kexec_file_load": 320, "bpf": 321,
        "userfaultfd": 323, "shmget": 29,
    },
    "aarch64": {
        "lookup_dcookie": 18, "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51,
        "vhangup": 58, "quotactl": 60, "acct": 89, "personality": 92, "unshare": 97,
        "kexec_load": 104, "init_module": 105, "delete_module": 106, "clock_settime": 112,
        "syslog": 116, "ptrace": 117, "reboot": 142, "sethostname": 161, "setdomainname": 162,
        "settimeofday": 170, "adjtimex": 171, "add_key": 217, "request_key": 218,
        "keyctl": 219, "swapon": 224, "swapoff": 225, "migrate_pages": 238, "move_pages": 239,
        "perf_event_open": 241, "fanotify_init": 262, "name_to_handle_at": 264,
        "open_by_handle_at": 265, "clock_adjtime": 266, "setns": 268, "process_vm_readv": 270,
        "process_vm_writev": 271, "kcmp": 272, "finit_module": 273, "bpf": 280,
        "userfaultfd": 282, "kexec_file_load": 294, "shmget": 194,
    },
}  # fmt: skip
_REFUSED_EVERYWHERE = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "pidfd_getfd": 438, "mount_setattr": 442, "quotactl_fd": 443,
}  # fmt: skip
# Who hears ENOSYS takes an older call: clone and openat, whose flags do not lie in memory, where a
# filter cannot look, and files in /tmp instead of memory that is in no process and no file system.
_UNKNOWN = {
    "x86_64": {"clone3": 435, "openat2": 437, "memfd_create": 319, "memfd_secret": 447},
    "aarch64": {"clone3": 435, "openat2": 437, "memfd_create": 279, "memfd_secret": 447},
}
# Memory, semaphores and queues that are shared with all programs of the machine.
_SHARED = {
    "x86_64": {
        "shmat": 30, "shmctl": 31, "semget": 64, "semop": 65, "semctl": 66, "msgget": 68,
        "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "semtimedop": 220, "mq_open": 240,
        "mq_unlink": 241,
    },
    "aarch64": {
        "mq_open": 180, "mq_unlink": 181, "msgget": 186, "msgctl": 187, "msgrcv": 188,
        "msgsnd": 189, "semget": 190, "semctl": 191, "semtimedop": 192, "semop": 193,
        "shmctl": 195, "shmat": 196,
    },
}  # fmt: skip
# Calls that bound and slow processes: by argument, the one value that means the caller itself.
_OF_ITSELF = {
    "prlimit64": {_FIRST: 0}, "sched_setparam": {_FIRST: 0}, "sched_setscheduler": {_FIRST: 0},
    "sched_setaffinity": {_FIRST: 0}, "sched_setattr": {_FIRST: 0},
    "setpriority": {_FIRST: 0, _SECOND: 0}, "ioprio_set": {_FIRST: 1, _SECOND: 0},
}  # fmt: skip
# Calls that give a file its mode, and which argument that is.
_MODES = {"chmod": _SECOND, "fchmod": _SECOND, "fchmodat": _THIRD, "fchmodat2": _THIRD,
          "creat": _SECOND, "mknod": _SECOND, "mknodat": _THIRD}  # fmt: skip
# The same for those that open files, too, with the argument that says whether they make one.
_OPENS = {"open": (_SECOND, _THIRD), "openat": (_THIRD, _FOURTH)}
_NUMBERS = {
    "x86_64": {
        "open": 2, "ioctl": 16, "socket": 41, "clone": 56, "creat": 85, "chmod": 90, "fchmod": 91,
        "mknod": 133, "setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144,
        "sched_setaffinity": 203, "ioprio_set": 251, "openat": 257, "mknodat": 259,
        "fchmodat": 268, "prlimit64": 302, "sched_setattr": 314, "fchmodat2": 452,
    },
    "aarch64": {
        "ioctl": 29, "ioprio_set": 30, "mknodat": 33, "fchmod": 52, "fchmodat": 53, "openat": 56,
        "sched_setparam": 118, "sched_setscheduler": 119, "sched_setaffinity": 122,
        "setpriority": 140, "socket": 198, "clone": 220, "prlimit64": 261, "sched_setattr": 274,
        "fchmodat2": 452,
    },
}  # fmt: skip


def is_known(machine: str) -> bool:
    """Whether there is a filter for processors of this name, as uname gives it."""
    return machine in _MACHINES


def program(machine: str, *, is_apart: bool) -> bytes:
    """The filter as an array of struct sock_filter; KeyError for a machine that is not known.

    A program that is not apart has no namespaces of its own. It gets no socket, the only way to
    keep it from the network and from services, and nothing that reaches other processes.
    """
    numbers = _NUMBERS[machine]
    refused = {*_REFUSED[machine].values(), *_REFUSED_EVERYWHERE.values()}
    if not is_apart:
        refused |= {numbers["socket"], *_SHARED[machine].values()}
    answers = dict.fromkeys(refused, errno.EPERM)
    answers |= dict.fromkeys(_UNKNOWN[machine].values(), errno.ENOSYS)
    body = [
        *_checked(numbers["clone"], _any_bit(_FIRST, _NEW_NAMESPACE)),
        *_checked(numbers["ioctl"], _any_of(_SECOND, _TERMINAL_INPUT)),
        *_modes(numbers),
        *(_networks(numbers["socket"]) if is_apart else _others(numbers)),
        *(step for number in sorted(answers) for step in _answered(number, answers[number])),
    ]
    return b"".join([*_own_numbers(machine), *body, _step(_RETURN, _ALLOW)])


def _modes(numbers: Mapping[str, int]) -> Iterator[bytes]:
    """No file is to run with the rights of its owner, who is the operator."""
    for name, mode in _MODES.items():
        if name in numbers:
            yield from _checked(numbers[name], _any_bit(mode, _AS_OWNER))
    for name, (flags, mode) in _OPENS.items():
        if name in numbers:
            test = _any_bit(mode, _AS_OWNER)
            makes = [_step(_LOAD, flags), _step(_ANY_BIT, _MAKES_FILE, 0, len(test))]
            yield from _checked(numbers[name], [*makes, *test])


def _networks(socket: int) -> Sequence[bytes]:
    """Sockets of families that a network namespace holds; that of virtual machines is none."""
    families = [
        _step(_EQUAL, family, left, 0)
        for family, left in zip(_FAMILIES, reversed(range(1, len(_FAMILIES) + 1)), strict=True)
    ]
    return _checked(socket, [_step(_LOAD, _FIRST), *families, _refuse(errno.EAFNOSUPPORT)])


def _others(numbers: Mapping[str, int]) -> Iterator[bytes]:
    """Other processes are neither bounded nor slowed."""
    for name, wanted in _OF_ITSELF.items():
        tests = [
            step
            for argument, value in wanted.items()
            for step in (_step(_LOAD, argument), _step(_EQUAL, value, 1, 0), _refuse())
        ]
        yield from _checked(numbers[name], tests)


def _own_numbers(machine: str) -> Sequence[bytes]:
    """Another ABI has other numbers: whoever calls by one is ended."""
    kill = _step(_RETURN, _KILL)
    checks = [_step(_LOAD, _MACHINE), _step(_EQUAL, _MACHINES[machine], 1, 0), kill]
    checks.append(_step(_LOAD, _NUMBER))
    return [*checks, _step(_AT_LEAST, _X32, 0, 1), kill] if machine == "x86_64" else checks


def _answered(number: int, error: int) -> Sequence[bytes]:
    return [_step(_EQUAL, number, 0, 1), _refuse(error)]


def _checked(number: int, tests: Sequence[bytes]) -> Sequence[bytes]:
    """Run the tests on the arguments of one call, each of which may refuse it."""
    inner = [*tests, _step(_LOAD, _NUMBER)]
    return [_step(_EQUAL, number, 0, len(inner)), *inner]


def _any_bit(argument: int, bits: int) -> Sequence[bytes]:
    return [_step(_LOAD, argument), _step(_ANY_BIT, bits, 0, 1), _refuse()]


def _any_of(argument: int, values: Sequence[int]) -> Sequence[bytes]:
    tests = (step for value in values for step in (_step(_EQUAL, value, 0, 1), _refuse()))
    return [_step(_LOAD, argument), *tests]


def _refuse(error: int = errno.EPERM) -> bytes:
    return _step(_RETURN, _ERRNO | error)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
