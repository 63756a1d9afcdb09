"""Checks of the home: files, modes, database, audit, keys, settings."""

import stat
import time
from collections.abc import Iterator
from pathlib import Path

from localai.app import App
from localai.core.db import SCHEMA_VERSION, network_file_system
from localai.core.files import private_dir, write_private
from localai.core.settings import PROTECTING, SECURITY_MODE
from localai.doctor.report import Check, failed, ok, warning

_PROTECTS = {
    "keyring": "in the OS keyring: safe from other users and from copies of the disk",
    "file": "in a 0600 key file apart from the database: safe from other users and from copies "
    "of the database alone, not from copies of the whole disk",
    "passphrase": "encrypted with LOCALAI_PASSPHRASE: safe from other users and from copies of "
    "the disk, as long as the passphrase is not on it",
}


def files(app: App) -> Check:
    """The home can be written, and how long the disk takes to keep a write."""
    folder = private_dir(app.directories.data)
    probe = folder / "doctor.probe"
    started = time.perf_counter()
    write_private(probe, b"probe")
    took = (time.perf_counter() - started) * 1000
    is_kept = probe.read_bytes() == b"probe"
    probe.unlink()
    if not is_kept:
        return failed("home", f"{folder} does not keep what is written", "choose another --home")
    if kind := network_file_system(app.directories.database_file):
        message = f"{folder} lies on {kind}: the rollback journal is used, which is slower"
        return warning("home", message, "choose a --home on a local disk")
    return ok("home", f"{app.directories.config} is writable, a synced write takes {took:.1f} ms")


def operator(app: App) -> Check:
    """The home is made, at its first use if not before."""
    return ok("operator", app.actor.user_id)


def modes(app: App) -> Check:
    """Files and folders of ours are closed to other users."""
    open_paths = [str(path) for path in _ours(app) if _is_open(path)]
    if open_paths:
        listed = ", ".join(open_paths[:3])
        return failed("modes", f"open to other users: {listed}", "ai doctor --fix")
    return ok("modes", "files and folders are closed to other users")


def close_modes(app: App) -> None:
    """Close what other users could open."""
    for path in _ours(app):
        if _is_open(path):
            path.chmod(0o700 if path.is_dir() else 0o600)


def database(app: App) -> Check:
    """The schema is the newest, and every page of the file is sound."""
    found = app.database.version()
    if found < SCHEMA_VERSION:
        message = f"schema {found}, this version needs {SCHEMA_VERSION}"
        return failed("database", message, "ai doctor --fix, or ai init")
    with app.database.read() as connection:
        verdict = connection.exec_driver_sql("PRAGMA quick_check").scalar()
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    if verdict != "ok":
        return failed("database", f"damaged: {verdict}", "restore it from a backup")
    return ok("database", f"schema {found}, sound, journal {journal}")


def audit(app: App) -> Check:
    """The audit is whole."""
    found = app.audit.verify()
    if not found.is_whole:
        message = "; ".join(found.problems)
        return failed("audit", message, "somebody or something changed it: ai audit list")
    return ok("audit", f"whole, {found.entries} entries")


def keys(app: App) -> Check:
    """Keys and secrets can be read, and what their store protects from."""
    app.secrets.key("audit-key")
    kind = app.secrets.kind or ""
    return ok("keys", _PROTECTS[kind])


def settings(app: App) -> Check:
    """Settings and LOCALAI_* variables are known and valid."""
    problems = app.settings.check()
    if problems:
        told = "; ".join(f"{each.where}: {each.message}" for each in problems)
        return failed("settings", told, "ai config show")
    return ok("settings", f"profile {app.settings.show('profile').value}, all known and valid")


def switches(app: App) -> Check:
    """What protects is on; strict mode refuses to work where it is not."""
    off = [key.name for key in PROTECTING if not app.settings[key]]
    if not off:
        return ok("protection", "approvals, rate limits and sandbox are on")
    told, hint = f"switched off: {', '.join(off)}", f"ai config set {off[0]} true"
    if app.settings[SECURITY_MODE] == "strict":
        return failed("protection", f"{told}; strict mode refuses to run tools so", hint)
    return warning("protection", f"{told}; for development alone", hint)


def policy(app: App) -> Check:
    """The operator's rules can be read, each proves its examples, and who they want is there."""
    rules = app.policies.rules()
    told = f"{len(rules)} rules of yours, {app.settings[SECURITY_MODE]} mode"
    eyes = [rule for rule in rules if rule.approvers > 1 or not rule.self_approval]
    if not eyes:
        return ok("policy", told)
    people = len(app.rbac.holders("approvals:decide"))
    needed = max(rule.approvers + (not rule.self_approval) for rule in eyes)
    if people == 1:
        why = "wants somebody else's eyes, and one person alone decides here: there is no four-eyes"
    elif people < needed:
        why = f"wants {needed} people at most, and {people} may decide here: some calls cannot run"
    else:
        return ok("policy", f"{told}; {people} people may decide")
    return warning("policy", f"{told}; {eyes[0].name} {why}", "ai users add NAME --role operator")


def _ours(app: App) -> Iterator[Path]:
    for folder in app.directories.all:
        if folder.is_dir():
            yield folder
    for folder in (app.directories.keys, app.directories.data):
        yield from (path for path in folder.glob("*") if path.is_file())
    if app.directories.config_file.exists():
        yield app.directories.config_file


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
