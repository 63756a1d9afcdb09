"""What a check found."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Check:
    """One thing that was tried; `hint` is what to type where it did not work."""

    name: str
    status: Status
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Report:
    """Every check, in the order it was made; `ok` if nothing needed failed."""

    ok: bool
    checks: tuple[Check, ...]


def ok(name: str, message: str) -> Check:
    """A check that worked."""
    return Check(name, "ok", message)


def warning(name: str, message: str, hint: str) -> Check:
    """A check that works worse than it could."""
    return Check(name, "warning", message, hint)


def failed(name: str, message: str, hint: str) -> Check:
    """A check of something needed that did not work."""
    return Check(name, "failed", message, hint)
