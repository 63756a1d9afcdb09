# ruff: noqa: E501 - scripts are as long as they are
"""Ways out of the sandbox, as data: each is a script that ends well where the way is open.

A shell script succeeds by its exit code, a Python one by what its last expression gives. Both know
the variables that tests/escape_scene.py sets: OUTSIDE is a folder beside the workspace, OURS the
home of a localai, VICTIM the id of a process of the same user, and so on.

`gap` names the words of `tiers.GAPS` that own up to the way in the reduced tier. `is_harmless` is
what may be tried with no sandbox at all, to prove that the attempt can succeed.
"""

import platform
from dataclasses import dataclass
from typing import Literal

from localai.agent.sandbox.tiers import GAPS

OBEYED, NAMES, PROCESSES = GAPS


@dataclass(frozen=True)
class Attempt:
    """One way; where it is `by` another user's kind alone, the others do not try it."""

    name: str
    script: str
    language: Literal["sh", "python"] = "sh"
    gap: str | None = None
    is_harmless: bool = False


PRELUDE = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
OUTSIDE, OURS, VICTIM = os.environ["OUTSIDE"], os.environ["OURS"], int(os.environ["VICTIM"])
SECRET = os.environ["SECRET_PARTS"].replace(" ", "").encode()
NEW_USER, NEW_NET, NEW_MOUNT = 0x10000000, 0x40000000, 0x00020000

def call(number, *given):
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in given]
    ctypes.set_errno(0)
    return libc.syscall(ctypes.c_long(number), *wide)

def is_open(number, *given):
    # A call that was let in complains of its nonsense; one that was not gives these.
    return call(number, *given) >= 0 or ctypes.get_errno() not in REFUSED

def reads(path, size=65536):
    with open(path, "rb", 0) as file:
        return file.read(size)

def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0

REFUSED = {errno.EPERM, errno.ENOSYS, errno.EACCES}
"""


def _shell(
    ways: dict[str, str], gap: str | None = None, *, harmless: bool = False
) -> list[Attempt]:
    return [Attempt(name, script, "sh", gap, harmless) for name, script in ways.items()]


def _python(
    ways: dict[str, str], gap: str | None = None, *, harmless: bool = False
) -> list[Attempt]:
    return [Attempt(name, script, "python", gap, harmless) for name, script in ways.items()]


_WRITES = (
    _shell(
        {
            "write beside the workspace": 'echo x > "$OUTSIDE/file"',
            "append beside the workspace": 'echo x >> "$OUTSIDE/file"',
            "write through ..": "echo x > ../outside/file",
            "write through a link": 'ln -s "$OUTSIDE/file" link && echo x > link',
            "write through a link to a folder": 'ln -s "$OUTSIDE" folder && echo x > folder/new',
            "make a second name": 'ln "$OUTSIDE/file" second && echo x > second',
            "write through one's own root": 'echo x > "/proc/self/root$OUTSIDE/file"',
            "write through one's own folder": "cd -P /proc/self/cwd/../outside && echo x > file",
            "write through the victim's root": 'echo x > "/proc/$VICTIM/root$OUTSIDE/file"',
            "write through the victim's folder": 'echo x > "/proc/$VICTIM/cwd/file"',
            "write through the victim's descriptor": 'echo x > "/proc/$VICTIM/fd/0"',
            "make a folder beside": 'mkdir "$OUTSIDE/new"',
            "remove beside": 'rm -f "$OUTSIDE/file"; ! test -e "$OUTSIDE/file" && ls "$OUTSIDE"',
            "take a file away": 'mv "$OUTSIDE/file" taken',
            "put a file there": 'echo x > mine && mv mine "$OUTSIDE/mine" && ls "$OUTSIDE/mine"',
            "empty a file": 'truncate --size 0 "$OUTSIDE/file"',
            "rename the workspace": 'mv "$WORKSPACE" "$WORKSPACE-away"',
            "change a dotfile of home": 'echo x >> "$HOME_OUTSIDE/.bashrc"',
            "add a key to home": 'echo x >> "$HOME_OUTSIDE/.ssh/authorized_keys"',
            "change git's own settings": 'git config --file "$HOME_OUTSIDE/.gitconfig" core.pager x',
            "read beside the workspace": 'grep . "$OUTSIDE/file"',
            "read a key in home": 'grep . "$HOME_OUTSIDE/.ssh/id_ed25519"',
            "list home": 'ls "$HOME_OUTSIDE"',
            "pack up home": 'tar cf all.tar "$HOME_OUTSIDE" 2>&1',
        },
        harmless=True,
    )
    + _shell(
        {
            "write at the root": ': > "/$MARK"',
            "write to /usr": ': > "/usr/$MARK"',
            "write to /usr/local/bin": ': > "/usr/local/bin/$MARK"',
            "write to /opt": ': > "/opt/$MARK"',
            "write to /etc": ': > "/etc/$MARK"',
            "write to /etc/profile.d": ': > "/etc/profile.d/$MARK"',
            "write to /var": ': > "/var/$MARK"',
            "write to the spool of cron": ': > "/var/spool/cron/crontabs/$MARK"',
            "write to /dev": ': > "/dev/$MARK"',
            "write to /run": ': > "/run/$MARK"',
            "write to the real home": ': > "$REAL_HOME/$MARK"',
            "write through the root of process 1": ': > "/proc/1/root/$MARK"',
            "write through the folder of process 1": '! test /proc/1/cwd -ef . && : > "/proc/1/cwd/$MARK"',
            "write to the shared memory of all": ': > "/dev/shm/$MARK"; false',
            "write to the temporary folder of all": ': > "/tmp/$MARK"; : > "/var/tmp/$MARK"; false',
            "change a system program": ": >> /usr/bin/env",
            "change the names of hosts": ": >> /etc/hosts",
            "read the passwords of the system": "read -r line < /etc/shadow",
            "list all homes": "ls /home || ls /root/",
        }
    )
    + _shell(
        {
            "ask whether a file exists": 'test -e "$OUTSIDE/file"',
            "change the mode of a file": 'chmod 777 "$OUTSIDE/file"',
            "change the times of a file": 'touch -c -d 2001-01-01 "$OUTSIDE/file" && test -e "$OUTSIDE/file"',
        },
        NAMES,
        harmless=True,
    )
)

_OBEYED = _shell(
    {
        "change .git/config": "echo x >> .git/config",
        "have git change its config": "git config core.fsmonitor ./x",
        "add a hook": "echo x > .git/hooks/post-checkout",
        "make a hook runnable": "chmod +x .git/hooks/pre-commit",
        "change a hook": "echo x > .git/hooks/pre-commit",
        "change a hook in its place": "sed -i s/a/b/ .git/hooks/pre-commit",
        "take the hooks away": "mv .git/hooks .git/away",
        "make the hooks anew": "rm -rf .git/hooks; mkdir .git/hooks && echo x > .git/hooks/post-merge",
        "take .git away": "mv .git away",
        "put another .git in its place": "mv .git away; git init -q other && mv other/.git .git",
        "change a second name of the config": "ln .git/config second && echo x >> second",
        "give .git attributes": "mkdir -p .git/info && echo '* filter=x' > .git/info/attributes",
        "send git elsewhere for its config": "echo ../evil > .git/commondir",
        "give git a second config": "echo x > .git/config.worktree",
        "prepare a module": "mkdir -p .git/modules/x && echo x > .git/modules/x/config",
        "prepare a worktree": "mkdir -p .git/worktrees/x",
        "prepare a rebase": "mkdir .git/rebase-merge && echo 'exec x' > .git/rebase-merge/git-rebase-todo",
        "prepare a bisection": "echo x > .git/BISECT_START",
        "move the branch": "echo 0000000000000000000000000000000000000000 > .git/refs/heads/main",
        "change .git by another way there": "echo x >> sub/../.git/config",
        "change .git by one's own root": 'echo x >> "/proc/self/root$WORKSPACE/.git/config"',
        "change .git by one's own folder": "echo x >> /proc/self/cwd/.git/config",
        "change what direnv obeys": "echo x >> .envrc",
        "take what direnv obeys away": "mv .envrc away",
        "remove what direnv obeys": "rm -f .envrc; ! test -e .envrc",
        "put a link in its place": "ln -sf main.py .envrc",
        "change what the editor runs": "echo x > .vscode/tasks.json",
        "take the editor's folder away": "mv .vscode away",
        "change the tools of agents": "echo x >> .mcp.json",
        "change what is obeyed, its name with a space": "echo x >> '.idea/run it.xml'",
    },
    OBEYED,
    harmless=True,
) + _python(
    {
        "exchange what is obeyed with another": """
open("other", "w").write("x")
call(316, -100, b".envrc", -100, b"other", 2) == 0
""",
        "write through a handle of .git": """
handle = os.open(".git", os.O_PATH)
os.write(os.open("config", os.O_WRONLY | os.O_APPEND, dir_fd=handle), b"x")
""",
        "open again what may be read": """
handle = os.open(".git/config", os.O_RDONLY)
os.write(os.open(f"/proc/self/fd/{handle}", os.O_WRONLY | os.O_APPEND), b"x")
""",
        "exchange .git in a race": """
os.makedirs("evil/hooks")
until, won = time.monotonic() + 0.2, False
while not won and time.monotonic() < until:
    try:
        os.rename(".git", "old")
        os.rename("evil", ".git")
        won = True
    except OSError:
        pass
won
""",
        "write a hook in a race of links": """
os.symlink(".git/hooks", "a"); os.mkdir("b"); won = False
for _ in range(300):
    call(316, -100, b"a", -100, b"b", 2)
    for folder in "ab":
        try:
            open(f"{folder}/post-merge", "w").close()
        except OSError:
            pass
won = os.path.exists(".git/hooks/post-merge")
won
""",
    },
    OBEYED,
    harmless=True,
)

_KERNEL = (
    _shell(
        {
            f"open {path}": f": >> {path}"
            for path in (
                "/proc/sys/kernel/core_pattern",
                "/proc/sys/kernel/modprobe",
                "/proc/sys/kernel/hostname",
                "/proc/sys/vm/overcommit_memory",
                "/proc/sys/net/ipv4/ip_forward",
                "/proc/sysrq-trigger",
                "/proc/sys/fs/binfmt_misc/register",
                "/proc/self/uid_map",
                "/proc/1/oom_score_adj",
                "/proc/kcore",
                "/proc/kmsg",
                "/sys/kernel/uevent_helper",
                "/sys/power/state",
                "/sys/fs/cgroup/memory/release_agent",
                "/sys/kernel/debug/x",
                "/dev/mem",
                "/dev/kmsg",
                "/dev/vda",
                "/dev/sda",
                "/dev/fuse",
                "/dev/kvm",
                "/dev/net/tun",
                "/dev/tty",
                "/dev/console",
            )
        }
    )
    + _shell(
        {
            "read the memory of the kernel": "head -c 1 /proc/kcore | grep -q .",
            "read the log of the kernel": "timeout 1 head -c 1 /dev/kmsg | grep -q .",
            "make a cgroup": 'mkdir "/sys/fs/cgroup/memory/$MARK" || mkdir "/sys/fs/cgroup/$MARK"',
            "list the firmware": "ls /sys/firmware",
            "a user namespace by unshare": "unshare --user true",
            "a user namespace that maps to root": "unshare --map-root-user true",
            "a mount namespace by unshare": "unshare --mount true",
            "a network namespace by unshare": "unshare --user --net true",
            "the namespaces of the victim": "nsenter --target $VICTIM --net true",
            "mount a file system": "mkdir m && mount -t tmpfs none m",
            "mount over .git": "mkdir m && mount --bind m .git",
            "mount .git anew for writing": "mount -o remount,bind,rw .git/config",
            "take the mount of .git away": "umount -l .git/config || umount -l .git",
            "become root by sudo": 'test "$(id -u)" != 0 && sudo -n true',
        }
    )
    + _python(
        {
            "a disk by mknod": """
found = os.stat(".").st_dev
os.mknod("disk", 0o60600, found)
os.open("disk", os.O_RDONLY)
""",
            "the memory of the machine by mknod": """
os.mknod("memory", 0o20600, os.makedev(1, 1))
os.open("memory", os.O_RDONLY)
""",
            "the disk by mknod in the temporary folder": """
os.mknod(os.environ["TMPDIR"] + "/disk", 0o60600, os.stat(".").st_dev)
os.open(os.environ["TMPDIR"] + "/disk", os.O_RDONLY)
""",
            "a file that runs as its owner": """
open("owned", "w").close()
os.chmod("owned", 0o4755)
os.stat("owned").st_mode & 0o4000
""",
            "a file that runs as its owner, from the first": """
os.umask(0)
handle = os.open("owned", os.O_CREAT | os.O_WRONLY, 0o6755)
os.fstat(handle).st_mode & 0o6000
""",
            "a file that runs as its group": """
handle = os.open("owned", os.O_CREAT | os.O_WRONLY, 0o755)
os.fchmod(handle, 0o2755)
os.fstat(handle).st_mode & 0o2000
""",
            "a file with capabilities": """
open("able", "w").close()
os.setxattr("able", "security.capability", struct.pack("<5I", 0x02000001, 0xFFFFFFFF, 0, 0, 0)) or True
""",
            "capabilities of its own": """
status = reads("/proc/self/status").decode()
any(int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("CapEff", "CapPrm")))
""",
            "new privileges": r"""
"NoNewPrivs:\t1" not in reads("/proc/self/status").decode()
""",
            "a program that runs as root": """
with subprocess.Popen(["su"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
    time.sleep(0.05)
    ids = [line.split()[1:3] for line in reads(f"/proc/{started.pid}/status").decode().splitlines() if line.startswith("Uid")]
    started.kill()
ids[0][0] != "0" and ids[0][1] == "0"
""",
            "another user": "os.setuid(1) or os.getuid() == 1",
            "another group": "os.setgroups([0, 4, 6]) or True",
            "clone a user namespace": """
child = call(56 if os.uname().machine == "x86_64" else 220, NEW_USER | signal.SIGCHLD, 0, 0, 0, 0)
if child == 0:
    os._exit(0)
child > 0
""",
            "clone a user namespace by the new call": """
arguments = ctypes.create_string_buffer(struct.pack("=11Q", NEW_USER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0))
child = call(435, arguments, 88)
if child == 0:
    os._exit(0)
child > 0
""",
            "handles of files": """
handle = ctypes.create_string_buffer(struct.pack("=II", 128, 1) + bytes(128))
kind = ctypes.c_int()
is_open(303 if os.uname().machine == "x86_64" else 264, -100, b".", handle, ctypes.byref(kind), 0)
""",
            "exec from memory that nobody counts": "os.memfd_create('x')",
            "type into a terminal": """
import fcntl
typed = 0
for each in (0, 1, 2):
    for order in (0x5412, 0x541C):
        try:
            fcntl.ioctl(each, order, b"x")
        except PermissionError:
            continue
        except OSError as error:
            typed |= error.errno != errno.ENOTTY
        else:
            typed = 1
typed
""",
            "type into a terminal of its own": """
import fcntl, pty
first, second = pty.openpty()
fcntl.ioctl(second, 0x5412, b"x")
True
""",
            "type into one with a number that is too wide": """
import pty
first, second = pty.openpty()
call(16 if os.uname().machine == "x86_64" else 29, second, 0x5412 | 1 << 32, b"x") == 0
""",
        }
    )
)

_CALLS = {
    # name: x86-64, arm64 and arguments that make no sense, so that nothing happens if it is let in
    "unshare": (272, 97, "0x10000000"),
    "setns": (308, 268, "0, 0"),
    "mount": (165, 40, "0, b'/nowhere', 0, 0, 0"),
    "umount2": (166, 39, "b'/nowhere', 0"),
    "pivot_root": (155, 41, "b'/nowhere', b'/nowhere'"),
    "chroot": (161, 51, "b'/nowhere'"),
    "keyctl": (250, 219, "0, -3, 0"),
    "add_key": (248, 217, "b'user', b'x', b'x', 1, -3"),
    "request_key": (249, 218, "b'user', b'x', 0, 0"),
    "bpf": (321, 280, "0, 0, 0"),
    "perf_event_open": (298, 241, "0, 0, -1, -1, 0"),
    "userfaultfd": (323, 282, "1"),
    "io_uring_setup": (425, 425, "1, 0"),
    "open_by_handle_at": (304, 265, "-1, 0, 0"),
    "ptrace": (101, 117, "16, VICTIM, 0, 0"),
    "process_vm_readv": (310, 270, "VICTIM, 0, 0, 0, 0, 0"),
    "process_vm_writev": (311, 271, "VICTIM, 0, 0, 0, 0, 0"),
    "kcmp": (312, 272, "VICTIM, VICTIM, 0, 0, 0"),
    "move_pages": (279, 239, "VICTIM, 0, 0, 0, 0, 0"),
    "pidfd_getfd": (438, 438, "-1, 0, 0"),
    "init_module": (175, 105, "0, 0, b''"),
    "finit_module": (313, 273, "-1, b'', 0"),
    "delete_module": (176, 106, "b'', 0"),
    "kexec_load": (246, 104, "0, 0, 0, 0"),
    "kexec_file_load": (320, 294, "-1, -1, 0, b'', 0"),
    "reboot": (169, 142, "1, 2, 3, 0"),
    "swapon": (167, 224, "b'/nowhere', 0"),
    "acct": (163, 89, "b'/nowhere'"),
    "settimeofday": (164, 170, "0, 0"),
    "sethostname": (170, 161, "0, -1"),
    "syslog": (103, 116, "10, 0, 0"),
    "quotactl": (179, 60, "0, 0, 0, 0"),
    "personality": (135, 92, "0x0040000"),
    "fanotify_init": (300, 262, "0, 0"),
    "fsopen": (430, 430, "b'nothing', 0"),
    "open_tree": (428, 428, "-1, b'', 1"),
    "move_mount": (429, 429, "-1, b'', -1, b'', 0"),
    "mount_setattr": (442, 442, "-1, b'', 0, 0, 0"),
    "memfd_secret": (447, 447, "0"),
}


def _calls() -> list[Attempt]:
    column = 0 if platform.machine() == "x86_64" else 1
    return _python(
        {
            f"the call {name}": f"is_open({numbers[column]}, {arguments})"
            for name, (*numbers, arguments) in _CALLS.items()
        }
    )


_SOCKETS = _python(
    {
        "a port of this machine": """
socket.create_connection(("127.0.0.1", int(os.environ["TCP"])), 2).send(b"x")
""",
        "another name of this machine": """
socket.create_connection(("0.0.0.0", int(os.environ["TCP"])), 2).send(b"x")
""",
        "a port by a datagram": """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sends:
    sends.sendto(b"x", ("127.0.0.1", int(os.environ["UDP"])))
False
""",
        "an abstract socket": """
with socket.socket(socket.AF_UNIX) as sends:
    sends.connect("\\0" + os.environ["ABSTRACT"])
    sends.send(b"x")
""",
        "a socket with a path, such as the message bus": """
with socket.socket(socket.AF_UNIX) as sends:
    sends.connect(os.environ["BUS"])
    sends.send(b"x")
""",
        "our own pages": """
import urllib.request
urllib.request.urlopen(f"http://127.0.0.1:{os.environ['TCP']}/api/approvals", timeout=2)
""",
        "the network cards by netlink": "set(name for _, name in socket.if_nameindex()) - {'lo'}",
        "shared memory of another program": """
libc.shmat.restype = ctypes.c_void_p
at = libc.shmat(int(os.environ["SEGMENT"]), None, 0)
at not in (None, ctypes.c_void_p(-1).value) and ctypes.string_at(at, len(SECRET)) == SECRET
""",
        "a queue of another program": """
libc.mq_open(("/" + os.environ["ABSTRACT"]).encode(), os.O_RDONLY) >= 0
""",
    },
    harmless=True,
) + _python(
    {
        "the host of this virtual machine": "socket.socket(40, socket.SOCK_STREAM)",
        "raw packets": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
        "packets of the wire": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "the kernel's ciphers": "socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)",
        "bluetooth": "socket.socket(31, socket.SOCK_RAW, 1)",
        "a tipc socket": "socket.socket(30, socket.SOCK_STREAM)",
        "the audit of the kernel": """
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as sends:
    sends.bind((0, 1))
    sends.send(struct.pack("=IHHII", 16, 1000, 5, 1, 0))
    answer = sends.recv(64)
struct.unpack_from("=i", answer, 16)[0] == 0
""",
        "an address for a card by netlink": """
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sends:
    sends.send(struct.pack("=IHHIIBBBBI8s", 32, 20, 5, 1, 0, 2, 8, 0, 0, 1, struct.pack("=HH4B", 8, 2, 10, 9, 8, 7)))
    answer = sends.recv(64)
struct.unpack_from("=i", answer, 16)[0] == 0
""",
    }
)

_PROCESSES = (
    _python(
        {
            "see the victim": "VICTIM in map(int, filter(str.isdigit, os.listdir('/proc')))",
            "read a secret on a command line": """
any(SECRET in reads(f"/proc/{each}/cmdline") for each in os.listdir("/proc") if each.isdigit())
""",
        },
        PROCESSES,
        harmless=True,
    )
    + _shell(
        {"list where our package lies": 'ls "$TOOLS/lib/localai" | grep .'}, NAMES, harmless=True
    )
    + _shell(
        {"see the connections of this machine": 'grep -q ":$(printf %04X "$TCP") " /proc/net/tcp'},
        PROCESSES,
        harmless=True,
    )
    + _python(
        {
            "read the victim's environment": 'SECRET in reads(f"/proc/{VICTIM}/environ")',
            "read every environment": """
found = b""
for each in filter(str.isdigit, os.listdir("/proc")):
    try:
        found += reads(f"/proc/{each}/environ")
    except OSError:
        pass
SECRET in found
""",
            "read the environment of the parents": """
found, each = b"", os.getppid()
while each > 0:
    try:
        found += reads(f"/proc/{each}/environ")
    except OSError:
        pass
    each = int(reads(f"/proc/{each}/stat").rpartition(b")")[2].split()[1])
SECRET in found
""",
            "open the victim's memory": 'os.open(f"/proc/{VICTIM}/mem", os.O_RDONLY)',
            "open the parent's memory": 'os.open(f"/proc/{os.getppid()}/mem", os.O_RDWR)',
            "open the memory of process 1": 'os.open("/proc/1/mem", os.O_RDWR)',
            "follow the victim's descriptors": 'os.readlink(f"/proc/{VICTIM}/fd/0")',
            "read the victim's map": 'reads(f"/proc/{VICTIM}/maps")',
            "signal the victim": "os.kill(VICTIM, signal.SIGCONT) or True",
            "signal the victim by a handle": """
signal.pidfd_send_signal(os.pidfd_open(VICTIM), signal.SIGCONT) or True
""",
            "bound the victim": """
import resource
resource.prlimit(VICTIM, resource.RLIMIT_NOFILE, (200, 4096))
""",
            "slow the victim down": "os.setpriority(os.PRIO_PROCESS, VICTIM, 15) or True",
            "slow all processes of the user down": """
os.setpriority(os.PRIO_USER, 0, 1) or os.getpriority(os.PRIO_PROCESS, VICTIM) > 0
""",
            "slow the victim down by its class": "os.sched_setscheduler(VICTIM, os.SCHED_IDLE, os.sched_param(0)) or True",
            "keep the victim to one processor": "os.sched_setaffinity(VICTIM, {0}) or True",
            "make the victim's disk slow": """
call(251 if os.uname().machine == "x86_64" else 30, 1, VICTIM, 3 << 13) == 0
""",
            "make the victim the first to die": """
open(f"/proc/{VICTIM}/oom_score_adj", "w").write("900")
""",
        },
        harmless=True,
    )
    + _python(
        {
            "descriptors that lead out": """
found = [each for each in os.listdir("/proc/self/fd") if int(each) > 2 and os.path.exists(f"/proc/self/fd/{each}")]
ends = [os.readlink(f"/proc/self/fd/{each}") for each in found]
[each for each in ends if not each.startswith("/proc/")]
""",
            "a folder behind a descriptor": """
import stat
[each for each in range(64) if os.path.exists(f"/proc/self/fd/{each}") and stat.S_ISDIR(os.fstat(each).st_mode)]
""",
            "inject into process 1": """
with open("/proc/1/mem", "r+b", 0) as memory:
    memory.seek(int(reads("/proc/1/maps").split(b"-")[0], 16))
    memory.write(memory.read(1))
True
""",
            "stop the parent": """
parent = os.getppid()
parent > 2 and (os.kill(parent, signal.SIGSTOP) or True)
""",
            "end the parent": """
parent = os.getppid()
parent > 2 and (os.kill(parent, signal.SIGKILL) or True)
""",
        }
    )
)

_OURS = _shell(
    {
        "read the database": 'grep . "$OURS/data/localai.db"',
        "change the database": 'echo x >> "$OURS/data/localai.db"',
        "remove the database": 'rm -f "$OURS/data/localai.db"; ls "$OURS/data"',
        "read the keys": 'grep . "$OURS/keys/audit-key"',
        "change the anchor of the audit": 'echo x > "$OURS/keys/audit.anchor"',
        "change the settings": 'echo x >> "$OURS/config.toml"',
        "change the log": 'echo x >> "$OURS/logs/localai.log"',
        "change a model": 'echo x >> "$OURS/models/x.gguf"',
        "make what is not there yet": 'mkdir -p "$OURS/later" && echo x > "$OURS/later/x"; false',
        "run ai": '"$TOOLS/bin/ai"',
        "read our package": 'grep . "$TOOLS/lib/localai/__init__.py"',
        "import our package": 'cd "$TOOLS/lib" && python3 -c "import localai; assert localai.__file__"',
        "read our package by a link": 'ln -s "$TOOLS/lib/localai" ours && grep . ours/__init__.py',
    },
    harmless=True,
) + _python(
    {
        "our settings in the environment": "[each for each in os.environ if each.startswith('LOCALAI_')]",
        "a secret in the environment": "any(SECRET.decode() in each for each in os.environ.values())",
    }
)

_OTHER_NUMBERS = _python(
    {
        "a call of 32 bits": """
import mmap
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex("b814000000cd80c3"))  # getpid by int 0x80
run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
in_child(lambda: run() > 0)
""",
        "a call by x32": "in_child(lambda: call(0x40000000 | 39) > 0)",
        "a namespace by x32": "in_child(lambda: call(0x40000000 | 272, NEW_USER) == 0)",
    }
)

ATTEMPTS = [
    *_WRITES,
    *_OBEYED,
    *_KERNEL,
    *_calls(),
    *_SOCKETS,
    *_PROCESSES,
    *_OURS,
    *(_OTHER_NUMBERS if platform.machine() == "x86_64" else []),
]
assert len({each.name for each in ATTEMPTS}) == len(ATTEMPTS)
