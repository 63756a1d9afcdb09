"""The action that a person approves and its digest. What is approved is what runs.

The facts about files and programs are stated when the request opens and again at the claim;
any difference gives another digest, and then nothing runs.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from localai.core.canonical import canonical, digest

DOMAIN = "localai-approval-v1"


@dataclass(frozen=True)
class Program:
    """The file that will be executed; device and inode as text, for they can pass 2^53."""

    path: str
    device: str
    inode: str
    sha256: str


@dataclass(frozen=True)
class FileFact:
    """A file as it stands; without an identity where there is none, or where it may change."""

    path: str
    exists: bool
    device: str | None = None
    inode: str | None = None
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Facts:
    """What a tool finds in the world before it runs.

    `diff` is what a file of text will lose and gain, as a unified diff.
    """

    program: Program | None = None
    environment_sha256: str | None = None
    files: tuple[FileFact, ...] = ()
    diff: str | None = None


@dataclass(frozen=True)
class Action:
    """One call of a tool, whole."""

    tool: str
    tool_schema_sha256: str
    arguments: Mapping[str, Any]
    cwd: str
    sandbox: str
    facts: Facts = field(default_factory=Facts)

    @property
    def text(self) -> str:
        """The one RFC 8785 spelling."""
        return canonical(self._told).decode()

    @property
    def sha256(self) -> str:
        """SHA-256 in hex over the domain, a zero byte and the spelling."""
        return digest(DOMAIN, self._told)

    @property
    def _told(self) -> dict[str, Any]:
        told = asdict(self)
        if self.facts.diff is None:  # no word of it, as in actions from before there were any
            del told["facts"]["diff"]
        return told


def read(text: str) -> Action:
    """The action that `Action.text` spelled."""
    stored = json.loads(text)
    facts = stored.pop("facts")
    program = Program(**facts["program"]) if facts["program"] else None
    files = tuple(FileFact(**file) for file in facts["files"])
    diff = facts.get("diff")
    return Action(**stored, facts=Facts(program, facts["environment_sha256"], files, diff))


def difference(approved: Action, now: Action) -> str:
    """What differs between the approved action and the same call stated now, in words."""
    found = []
    if approved.tool_schema_sha256 != now.tool_schema_sha256:
        found.append(
            f"the tool {approved.tool} is described otherwise, or takes other arguments now"
        )
    if approved.facts.program != now.facts.program:
        found.append(_program(approved.facts.program, now.facts.program))
    if approved.facts.environment_sha256 != now.facts.environment_sha256:
        found.append("the environment (PATH, HOME, locale) is different now")
    found += [f"{path} is different now" for path in _changed_files(approved.facts, now.facts)]
    return "; ".join(found) or "the call is not the one that was approved"


def _program(approved: Program | None, now: Program | None) -> str:
    before = approved.path if approved else "none"
    after = now.path if now else "none"
    if before == after:
        return f"the program {before} is different now"
    return f"the program was {before} and is {after} now"


def _changed_files(approved: Facts, now: Facts) -> list[str]:
    changed = set(approved.files) ^ set(now.files)
    return sorted({file.path for file in changed})
