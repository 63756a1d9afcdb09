"""Questions to a person at this terminal. No terminal, no question: each has a flag instead."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from localai.cli.call import is_terminal
from localai.cli.console import note
from localai.core.errors import Invalid, Pending
from localai.core.files import write_private

if TYPE_CHECKING:
    from localai.approvals.records import Approval

YES = frozenset({"y", "yes", "예", "네"})
_MARGIN = 3  # lines of a page left for the prompt


def confirm(question: str, *, yes: bool) -> bool:
    """Ask a yes-or-no question; `yes` answers it, and without a terminal it must."""
    if yes:
        return True
    if not is_terminal():
        raise Invalid(f"{question} Nobody is here to answer.", hint="add --yes")
    return word(f"{question} [y/N] ") in YES


def prompt(text: str) -> str:
    """Ask on stderr and read one line; the end of input answers with nothing."""
    sys.stderr.write(text)
    sys.stderr.flush()
    return sys.stdin.readline()


def word(question: str) -> str:
    """Ask for one word."""
    return prompt(question).strip().lower()


def page(lines: Sequence[str]) -> None:
    """Show every line on stderr, a screen at a time: nothing scrolls off unread."""
    height = max(shutil.get_terminal_size().lines - _MARGIN, 5)
    for start in range(0, len(lines), height):
        for line in lines[start : start + height]:
            note(line)
        shown = start + height
        if shown < len(lines):
            prompt(f"-- {shown} of {len(lines)} lines, Enter shows more -- ")


def decide_yes(approval: "Approval", rule: Sequence[str] = (), *, yes: bool) -> None:
    """On a terminal, show the whole action and ask once; Pending if the answer is no.

    Without a terminal the id names what is decided: the digest that was read is the condition. A
    standing rule that comes with it is shown in full either way.
    """
    if yes or not is_terminal():
        for line in told(rule):
            note(line)
        return
    page([*approval.shown, *told(rule)])
    if not confirm(f"Approve {approval.id} ({approval.action_sha256[:12]})?", yes=False):
        message = f"{approval.id} was not approved and still waits"
        raise Pending(message, hint=f"to refuse it: ai reject {approval.id}")


def one_time_code(is_asked: bool) -> str | None:
    """The code of somebody at a terminal, where one is asked for."""
    return (
        prompt("Code of your authenticator app: ").strip() if is_asked and is_terminal() else None
    )


def told(rule: Sequence[str]) -> Sequence[str]:
    """The lines of a standing rule, and what it does, for whoever approves it; none for none."""
    return ("", "calls like it run unasked from now on, by this rule:", *rule) if rule else ()


def edited(text: str, name: str) -> str:
    """The text as $VISUAL or $EDITOR leaves it; Invalid where nobody is here to edit."""
    if not is_terminal():
        raise Invalid("nobody is here to edit", hint="approve without --edit, or at a terminal")
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory(prefix="localai-") as folder:
        file = Path(folder) / name
        write_private(file, f"{text}\n".encode())
        try:
            code = subprocess.run([*command, str(file)], check=False).returncode  # noqa: S603
            after = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            message = f"{command[0]} could not edit it"
            raise Invalid(message, hint="set EDITOR to an editor") from error
    if code:
        raise Invalid(f"{command[0]} ended with {code}; nothing was approved", hint="try again")
    return after
