"""Checks of the machine: Python, SQLite, disk, memory, ports."""

import shutil
import socket
import sys

import psutil

from localai.agent.sandbox.probe import WAYS, escapes, remedy
from localai.agent.sandbox.tiers import GAPS
from localai.app import App
from localai.core.db import is_wal_reset_safe
from localai.core.settings import SECURITY_MODE
from localai.doctor.report import Check, failed, ok, warning

_GB = 1e9
_LOW_DISK = 2 * _GB
_LOW_MEMORY = 2 * _GB
_PORT = 8020


def python(_: App) -> Check:
    """The interpreter is one that we support."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.maxsize < 2**32:
        return failed("python", f"Python {version} of 32 bits", "install a Python of 64 bits")
    return ok("python", f"Python {version}, 64 bits")


def sqlite(app: App) -> Check:
    """The SQLite in use, and whether its WAL needs our lock to be safe."""
    text = app.database.sqlite_version
    major, minor, patch = (int(part) for part in text.split("."))
    if is_wal_reset_safe((major, minor, patch)):
        return ok("sqlite", f"SQLite {text}")
    return warning(
        "sqlite",
        f"SQLite {text} has the WAL-reset bug; commits, checkpoints and closes are serialised",
        "other programs must not open the database; a Python with SQLite 3.51.3 removes this",
    )


def disk(app: App) -> Check:
    """Room for the database and for models, which may lie on different disks."""
    found = []
    for name, folder in (("home", app.directories.data), ("models", app.models_dir)):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        found.append((name, free))
    told = ", ".join(f"{name} {free / _GB:.1f} GB free" for name, free in found)
    if min(free for _, free in found) < _LOW_DISK:
        return warning("disk", told, "make room, or: ai config set models.dir DIR")
    return ok("disk", told)


def memory(_: App) -> Check:
    """Memory for a model."""
    found = psutil.virtual_memory()
    told = f"{found.available / _GB:.1f} of {found.total / _GB:.1f} GB free"
    if found.available < _LOW_MEMORY:
        return warning("memory", told, "close other programs, or use a smaller model")
    return ok("memory", told)


def sandbox(app: App) -> Check:
    """Programs that a model asks for are confined: each way out is tried, and must fail."""
    found = app.sandbox.found
    if found.tier == "none":
        message = (
            f"none: programs run with your own rights, each after a critical approval; {found.why}"
        )
        told = failed if app.settings[SECURITY_MODE] == "strict" else warning
        return told("sandbox", message, remedy(found))
    if open_ways := escapes(app.sandbox, app.directories.all):
        message = f"{found.tier}, but open: {', '.join(open_ways)}"
        return failed(
            "sandbox", message, "ai config set sandbox.enabled false: each program is critical then"
        )
    if found.tier == "reduced":
        open_ways = [GAPS[0], *app.sandbox.gaps[len(GAPS) :]]
        message = f"reduced, for {found.why}: a program has no network and no home, but "
        message += ", and ".join(open_ways)
        return warning("sandbox", message, remedy(found))
    return ok("sandbox", f"full (bubblewrap): {len(WAYS)} ways out were tried, none is open")


def ports(_: App) -> Check:
    """Loopback sockets can be opened here."""
    try:
        with socket.create_server(("127.0.0.1", 0)):
            pass
    except OSError as error:
        return warning("ports", f"no loopback socket: {error}", "check the sandbox or firewall")
    with socket.socket() as probe:
        is_taken = probe.connect_ex(("127.0.0.1", _PORT)) == 0
    return ok("ports", f"loopback works; {_PORT} is {'in use' if is_taken else 'free'}")
