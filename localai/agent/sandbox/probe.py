"""Tries to get out of the sandbox, by looking and opening: nothing is written anywhere."""

import os
import platform
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from localai.agent.sandbox.tiers import Command, Found, Sandbox

# Each ends well where the way is open. Files are opened to write, and nothing is written.
WAYS: Mapping[str, str] = {
    "the home of the operator": 'ls "$HOME_OUTSIDE"',
    "the folders of localai": 'for each in $OURS; do ls "$each" && exit 0; done; exit 1',
    "the settings of the kernel": ": >> /proc/sys/kernel/core_pattern",
    "the kernel's request key": ": >> /proc/sysrq-trigger",
    "the passwords of the system": "read line < /etc/shadow",
    "the message bus": 'test -S "${BUS:-/run/dbus/system_bus_socket}"',
    "a port of this machine": 'exec 3<>"/dev/tcp/127.0.0.1/$PORT"',
    "a file outside of the workspace": 'test -e "$OUTSIDE" && : >> "$OUTSIDE"',
    "a namespace of its own": "unshare --user true",
}


def escapes(sandbox: Sandbox, own: Sequence[Path] = ()) -> list[str]:
    """The ways out that are open; `own` are folders of ours that must not be seen."""
    with (
        tempfile.TemporaryDirectory(prefix="localai-") as folder,
        tempfile.NamedTemporaryFile(prefix="localai-") as outside,
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME_OUTSIDE": str(Path.home()),
            "OURS": " ".join(map(str, own)),
            "BUS": os.environ.get("DBUS_SESSION_BUS_ADDRESS", "").partition("path=")[2],
            "PORT": str(listening.getsockname()[1]),
            "OUTSIDE": outside.name,
        }
        shell = _shell()
        lines = (
            f"({way}) >/dev/null 2>&1 && echo {number}" for number, way in enumerate(WAYS.values())
        )
        command = Command(
            os.path.realpath(shell),
            shell,
            (shell, "-c", "\n".join([*lines, "exit 0"])),
            folder,
            environment,
        )
        ended = sandbox.run(command, Path(folder), own)
    names = list(WAYS)
    return [names[int(line)] for line in ended.output.split()] if ended.is_ok else list(names)


def remedy(found: Found) -> str:
    """What to type, or to read, for a better tier than this one."""
    if found.why.startswith("sandbox.enabled"):
        return "ai config set sandbox.enabled true"
    if found.why.startswith("bubblewrap is not installed"):
        return install_command()
    return "docs/ops/sandbox.md says what bubblewrap needs here"


def install_command() -> str:
    """What installs bubblewrap here."""
    commands = {
        ("debian", "ubuntu"): "sudo apt install bubblewrap",
        ("fedora", "rhel"): "sudo dnf install bubblewrap",
        ("arch",): "sudo pacman -S bubblewrap",
        ("suse",): "sudo zypper install bubblewrap",
        ("alpine",): "sudo apk add bubblewrap",
    }
    try:
        found = platform.freedesktop_os_release()
    except OSError:
        return "install bubblewrap; it needs Linux"
    names = [found.get("ID", ""), *found.get("ID_LIKE", "").split()]
    for systems, command in commands.items():
        if any(name.startswith(systems) for name in names):
            return command
    return "install the package bubblewrap"


def _shell() -> str:
    # Only bash opens connections by itself.
    return "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
