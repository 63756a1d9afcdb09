"""Runs the ways out of tests/escapes.py in a sandbox, beside what they are to reach; prints JSON.

`python escape_scene.py TIER` needs the standard library and localai.agent.sandbox alone, so that
any user's Python can run it. What it prints names each way that was open, with the evidence.
"""

import ast
import ctypes
import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from escapes import ATTEMPTS, PRELUDE, Attempt

from localai.agent.sandbox.process import Limits
from localai.agent.sandbox.tiers import Command, Sandbox, Tier

LIMITS = Limits(seconds=10, memory=300 << 20, processes=64)
_FILES = {
    "outside/file": "outside",
    "home/.bashrc": "# mine\n",
    "home/.gitconfig": "[user]\n",
    "home/.ssh/authorized_keys": "ssh-ed25519 mine\n",
    "home/.ssh/id_ed25519": "a key\n",
    "ours/config.toml": "[security]\n",
    "ours/data/localai.db": "SQLite format 3\n",
    "ours/keys/audit-key": "a key\n",
    "ours/keys/audit.anchor": "anchor\n",
    "ours/logs/localai.log": "log\n",
    "ours/models/x.gguf": "GGUF\n",
    "tools/bin/ai": "#!/bin/sh\necho ai\n",
    "tools/lib/localai/__init__.py": "'ours'\n",
    "workspace/main.py": "print()\n",
    "workspace/sub/x": "x\n",
    "workspace/.envrc": "export A=a\n",
    "workspace/.mcp.json": "{}\n",
    "workspace/.idea/run it.xml": "<a/>\n",
    "workspace/.vscode/tasks.json": "{}\n",
    "workspace/.git/HEAD": "ref: refs/heads/main\n",
    "workspace/.git/config": "[core]\n\trepositoryformatversion = 0\n",
    "workspace/.git/hooks/pre-commit": "#!/bin/sh\ntrue\n",
    "workspace/.git/info/exclude": "# none\n",
    "workspace/.git/refs/heads/main": "1" * 40 + "\n",
    "workspace/.git/objects/info/x": "",
}
_GUARDED = (
    *("outside", "home", "ours", "tools", "common"),
    *(f"workspace/{name}" for name in (".git", ".envrc", ".mcp.json", ".idea", ".vscode")),
)
_MODULES = ("resource", "signal", "socket", "struct", "subprocess", "time")
_GIVEN = {name.split("/")[1] for name in _FILES if name.startswith("workspace/")}
_EVERYWHERE = "/ /usr /usr/local/bin /opt /etc /etc/profile.d /var /var/spool/cron/crontabs /dev"
_EVERYWHERE += " /run /dev/shm /tmp /var/tmp /sys/fs/cgroup /sys/fs/cgroup/memory"


class Listeners:
    """Sockets of this machine that no program may reach, and what reached them."""

    def __init__(self, path: Path, name: str) -> None:
        self.contacts: list[str] = []
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.path = socket.socket(socket.AF_UNIX)
        self.path.bind(str(path))
        path.chmod(0o777)
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind("\0" + name)
        for each in (self.path, self.abstract):
            each.listen()
        for kind, each in vars(self).items():
            if isinstance(each, socket.socket):
                threading.Thread(target=self._listen, args=(kind, each), daemon=True).start()

    def _listen(self, name: str, each: socket.socket) -> None:
        while True:
            if name == "udp":
                each.recv(1)
            else:
                with each.accept()[0] as talk, suppress(OSError):
                    talk.send(b"HTTP/1.0 200 OK\r\n\r\n")
            self.contacts.append(name)


class Shared:
    """A segment of memory and a queue of the same user, which are no files."""

    def __init__(self, name: str, content: bytes) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.shmat.restype = ctypes.c_void_p
        self.segment = libc.shmget(0, 4096, 0o1600)
        at = libc.shmat(self.segment, None, 0)
        ctypes.memmove(at, content, len(content))
        self._queue = f"/{name}".encode()
        self._libc = libc
        libc.mq_open(self._queue, os.O_CREAT | os.O_RDWR, 0o600, None)

    def close(self) -> None:
        """Take both away."""
        self._libc.shmctl(self.segment, 0, None)
        self._libc.mq_unlink(self._queue)


class Scene:
    """A workspace and all that is around it, made anew for each attempt."""

    def __init__(self, tier: Tier, folder: Path, name: str, secret: str) -> None:
        self._folder, self._is_clean = folder, False
        self._name, self._secret = name, secret
        self.listeners = Listeners(folder / "bus", name)
        self.shared = Shared(name, secret.encode())
        common = folder / "common"
        common.mkdir()
        (common / "file").write_text("common")
        with (common / "file").open("r+b") as reads:
            self.victim = subprocess.Popen(
                [secret, "1000"],
                executable="/bin/sleep",
                cwd=common,
                stdin=reads,
                env={"LOCALAI_PASSPHRASE": secret, "PATH": "/bin"},
            )
        self._python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
        tools = folder / "scene" / "tools"
        self._sandbox = Sandbox(
            tier=tier,
            readable=[tools, *self._own_python],
            hidden=[tools / "bin" / "ai"],
            limits=LIMITS,
        )

    def close(self) -> None:
        """End what is around."""
        self.shared.close()
        self.victim.kill()
        self.victim.wait()

    def tried(self, attempt: Attempt) -> list[str]:
        """The evidence that this way is open; none where it is not."""
        root = self._folder / "scene"
        self._prepare(root)
        self.listeners.contacts.clear()
        before = dict(self._guarded(root))
        output = self._run(attempt, root)
        evidence = ["it said so"] if "ESCAPED" in output else []
        after = dict(self._guarded(root))
        changed = sorted(
            name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        )
        self._is_clean = not changed
        evidence += [f"changed {name}" for name in changed]
        evidence += [f"reached {name}" for name in self.listeners.contacts]
        return [*evidence, *self._left()]

    def _prepare(self, root: Path) -> None:
        if self._is_clean:
            for each in (root / "workspace").iterdir():
                if each.name not in _GIVEN:
                    is_folder = each.is_dir() and not each.is_symlink()
                    shutil.rmtree(each) if is_folder else each.unlink()
            return
        shutil.rmtree(root, ignore_errors=True)
        for name, text in _FILES.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / "tools/bin/ai").chmod(0o755)
        (root / "common").symlink_to(self._folder / "common")

    def _run(self, attempt: Attempt, root: Path) -> str:
        workspace = root / "workspace"
        ours = [root / "ours", root / "tools" / "lib" / "localai"]
        shell = os.path.realpath("/bin/sh")
        python = os.path.realpath(self._python)
        if attempt.language == "sh":
            script = f"({attempt.script}\n) && echo ESCAPED"
            command = (shell, "/bin/sh", ("sh", "-c", script))
            given = b""
        else:
            command = (python, self._python, ("python3", "-I", "-S", "-"))
            given = _whole(attempt.script).encode()
        asked = Command(*command, str(workspace), self._environment(root), given)
        return self._sandbox.run(asked, workspace, ours).output

    @property
    def _own_python(self) -> Sequence[Path]:
        return [Path(sys.base_prefix)] if self._python == sys.executable else []

    def _environment(self, root: Path) -> Mapping[str, str]:
        listeners = self.listeners
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "TMPDIR": str(root / "workspace"),
            "WORKSPACE": str(root / "workspace"),
            "OUTSIDE": str(root / "outside"),
            "HOME_OUTSIDE": str(root / "home"),
            "REAL_HOME": str(Path.home()),
            "OURS": str(root / "ours"),
            "TOOLS": str(root / "tools"),
            "VICTIM": str(self.victim.pid),
            "SECRET_PARTS": " ".join(self._secret),
            "MARK": self._name,
            "ABSTRACT": self._name,
            "BUS": str(self._folder / "bus"),
            "TCP": str(listeners.tcp.getsockname()[1]),
            "UDP": str(listeners.udp.getsockname()[1]),
            "SEGMENT": str(self.shared.segment),
        }

    def _guarded(self, root: Path) -> Iterator[tuple[str, object]]:
        """All that must stay as it is, by its name."""
        for name in _GUARDED:
            for folder, folders, files in os.walk(root / name, followlinks=name == "common"):
                for each in (*folders, *files):
                    path = Path(folder, each)
                    yield str(path.relative_to(root)), _state(path)
            if (root / name).exists():
                yield name, _state(root / name)
        yield "the workspace", (root / "workspace").exists()
        yield "the victim", self._victim_state()

    def _victim_state(self) -> object:
        import resource

        pid = self.victim.pid
        return (
            self.victim.poll(),
            resource.prlimit(pid, resource.RLIMIT_NOFILE),
            os.getpriority(os.PRIO_PROCESS, pid),
            os.sched_getscheduler(pid),
            sorted(os.sched_getaffinity(pid)),
            Path(f"/proc/{pid}/oom_score_adj").read_text(),
        )

    def _left(self) -> Iterator[str]:
        for folder in (*_EVERYWHERE.split(), str(Path.home())):
            left = Path(folder, self._name)
            if left.exists():
                yield f"left {left}"
                left.rmdir() if left.is_dir() else left.unlink()


def _whole(script: str) -> str:
    """A Python attempt as a program: its last expression tells whether it succeeded."""
    tree = ast.parse(script)
    last = ast.unparse(tree.body.pop()) if isinstance(tree.body[-1], ast.Expr) else "True"
    modules = [name for name in _MODULES if f"{name}." in script]
    imports = f"import {', '.join(modules)}" if modules else ""
    return f"{PRELUDE}\n{imports}\n{ast.unparse(tree)}\nif {last}:\n    print('ESCAPED')\n"


def _state(path: Path) -> object:
    found = path.lstat()
    content = path.read_bytes() if path.is_file() else b""
    facts = (found.st_mode, found.st_uid, found.st_ino, found.st_nlink, found.st_mtime_ns)
    return facts, hashlib.sha256(content).hexdigest(), os.listxattr(path, follow_symlinks=False)


def main(tier: Tier) -> None:
    """Try them all, or with no sandbox those that do no harm."""
    name = f"escape-{secrets.token_hex(4)}"
    secret = os.environ["LOCALAI_PASSPHRASE"]
    with tempfile.TemporaryDirectory(prefix="escape-") as folder, ExitStack() as stack:
        scene = Scene(tier, Path(folder), name, secret)
        stack.callback(scene.close)
        tried = [each for each in ATTEMPTS if tier != "none" or each.is_harmless]
        found = {each.name: scene.tried(each) for each in tried}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])  # type: ignore[arg-type]
