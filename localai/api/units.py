"""What makes the machine keep this server running: a systemd user unit, or a launchd agent.

https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html
"""

import plistlib
import sys
from collections.abc import Sequence
from typing import Final

from localai.api.server import ENDING_S, HOST, Place
from localai.app import App
from localai.core.errors import Invalid

KINDS: Final = ("systemd", "launchd")
NAME: Final = "localai"
_ENDING_S: Final = 2 * ENDING_S  # what it started has as long again as what it answers

# A user's own systemd can do these, and programs in the sandbox still start: it needs namespaces,
# mounts and netlink of its own, and engines need memory that is written and run.
_UNIT: Final = """[Unit]
Description=localai over HTTP
Documentation=man:systemd.service(5)

[Service]
Type=exec
ExecStart={command}
WorkingDirectory={workspace}
Restart=on-failure
RestartSec=2
KillMode=mixed
TimeoutStopSec={ending}
UMask=0077
LimitCORE=0
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native

[Install]
WantedBy=default.target
"""


def unit(rooms: App, place: Place, kind: str | None = None) -> str:
    """The unit's text for this home and place; of this machine's kind where none is named."""
    kind = kind or ("launchd" if sys.platform == "darwin" else "systemd")
    if kind not in KINDS:
        raise Invalid(f"{kind!r} keeps nothing running here", hint=f"one of {', '.join(KINDS)}")
    command = _command(rooms, place)
    return _launchd(command, rooms) if kind == "launchd" else _systemd(command, rooms)


def _command(rooms: App, place: Place) -> Sequence[str]:
    folders = rooms.directories
    home = [f"--home={folders.config}"] if folders.is_own_home else []
    options = [f"--port={place.port}", f"--keep-alive={place.keep_alive_s}s"]
    if place.host != HOST:
        options.append(f"--host={place.host}")
    if place.is_open:
        options.append("--open-to-network")
    if place.encryption:
        options.append(f"--tls-cert={place.encryption.certificate.absolute()}")
        options.append(f"--tls-key={place.encryption.key.absolute()}")
    program = [sys.executable, "-m", "localai"]
    return [*program, *home, f"--workspace={rooms.workspace}", "serve", *options]


def _systemd(command: Sequence[str], rooms: App) -> str:
    words = " ".join(map(_quoted, command))
    workspace = _plain(str(rooms.workspace)).replace("%", "%%")
    return _UNIT.format(command=words, workspace=workspace, ending=_ENDING_S)


def _quoted(word: str) -> str:
    escaped = _plain(word).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("%", "%%").replace("$", "$$") + '"'


def _plain(text: str) -> str:
    if not text.isprintable():
        raise Invalid(f"{text!r} cannot stand in a unit: a line ends in it")
    return text


def _launchd(command: Sequence[str], rooms: App) -> str:
    agent = {
        "Label": NAME,
        "ProgramArguments": [*command],
        "WorkingDirectory": str(rooms.workspace),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ExitTimeOut": _ENDING_S,
        "Umask": 0o077,
        "HardResourceLimits": {"Core": 0},
        "ProcessType": "Interactive",
    }
    return plistlib.dumps(agent, sort_keys=False).decode()
