"""The filter of system calls that a confined program lives with, as classic BPF. Pure.

It is an allow-by-default filter: what stays out is what changes the machine, looks into other
processes, or makes a namespace in which other rules hold. See seccomp(2) and the kernel's
Documentation/userspace-api/seccomp_filter.rst.
"""

import errno
import struct
from collections.abc import Sequence

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL = 0x80000000

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

# Offsets in struct seccomp_data; the low half of an argument, both machines being little-endian.
_NUMBER, _MACHINE, _FIRST, _SECOND = 0, 4, 16, 24

_X32 = 0x40000000  # the same numbers again, for another ABI of x86-64
_NEW_NAMESPACE = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
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
        "userfaultfd": 323,
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
        "userfaultfd": 282, "kexec_file_load": 294,
    },
}  # fmt: skip
_REFUSED_EVERYWHERE = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "pidfd_getfd": 438, "mount_setattr": 442, "quotactl_fd": 443,
}  # fmt: skip
_CLONE3 = 435
_CLONE = {"x86_64": 56, "aarch64": 220}
_IOCTL = {"x86_64": 16, "aarch64": 29}
_SOCKET = {"x86_64": 41, "aarch64": 198}


def is_known(machine: str) -> bool:
    """Whether there is a filter for processors of this name, as uname gives it."""
    return machine in _MACHINES


def program(machine: str, *, has_sockets: bool) -> bytes:
    """The filter as an array of struct sock_filter; KeyError for a machine that is not known.

    Without sockets, `socket` is refused, too: the only way to keep a program from the network, and
    from services behind sockets, where it has no network namespace of its own.
    """
    refused = sorted({**_REFUSED[machine], **_REFUSED_EVERYWHERE}.values())
    if not has_sockets:
        refused.append(_SOCKET[machine])
    body = [
        *_checked(_CLONE[machine], _FIRST, _ANY_BIT, (_NEW_NAMESPACE,)),
        *_checked(_IOCTL[machine], _SECOND, _EQUAL, _TERMINAL_INPUT),
        # Its flags lie in memory, where a filter cannot look; who hears ENOSYS takes clone.
        *_answered(_CLONE3, errno.ENOSYS),
        *(step for number in refused for step in _answered(number, errno.EPERM)),
    ]
    return b"".join([*_own_numbers(machine), *body, _step(_RETURN, _ALLOW)])


def _own_numbers(machine: str) -> Sequence[bytes]:
    """Another ABI has other numbers: whoever calls by one is ended."""
    kill = _step(_RETURN, _KILL)
    checks = [_step(_LOAD, _MACHINE), _step(_EQUAL, _MACHINES[machine], 1, 0), kill]
    checks.append(_step(_LOAD, _NUMBER))
    return [*checks, _step(_AT_LEAST, _X32, 0, 1), kill] if machine == "x86_64" else checks


def _answered(number: int, error: int) -> Sequence[bytes]:
    return [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ERRNO | error)]


def _checked(number: int, argument: int, test: int, values: Sequence[int]) -> Sequence[bytes]:
    """Refuse the call where its argument passes the test with any of the values."""
    tests = [
        step
        for value in values
        for step in (_step(test, value, 0, 1), _step(_RETURN, _ERRNO | errno.EPERM))
    ]
    inner = [_step(_LOAD, argument), *tests, _step(_LOAD, _NUMBER)]
    return [_step(_EQUAL, number, 0, len(inner)), *inner]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
