"""The whole action as lines that a person can trust: real arguments first, claims last.

Every piece of foreign text passes core.escape; the lines are plain text, so whoever prints
them keeps markup off. Nothing is cut: long content is counted and digested, then shown.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from localai.approvals.action import Action, FileFact
from localai.core.escape import is_mixed_script, visible

if TYPE_CHECKING:
    from localai.approvals.records import Approval

_MIXED = "  warning: one word mixes alphabets that look alike"


def describe(approval: "Approval", action: Action) -> list[str]:
    """The lines to show: what runs, where, on what it rests; below, what the requester wrote."""
    return [
        f"request    {approval.id}  {approval.status}",
        f"tool       {visible(action.tool)}",
        f"risk       {approval.risk}",
        *_arguments(action),
        f"workspace  {quoted(action.cwd)}",
        *_warning(action.cwd),
        *_facts(action),
        *_diff(action),
        f"sandbox    {visible(action.sandbox)}",
        f"policy     {visible(approval.policy_rule)}",
        f"asked by   {_requester(approval)}",
        f"asked at   {approval.created_at}, expires {approval.expires_at}",
        *_people(approval),
        f"digest     {approval.action_sha256}",
        *_claims(approval),
    ]


def quoted(text: str) -> str:
    """One line in double quotes that spells out whatever is not plainly visible."""
    return '"' + visible(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _arguments(action: Action) -> Iterator[str]:
    # Long text stands last, so that nothing short is overlooked below it.
    for name, value in sorted(action.arguments.items(), key=_order):
        label = f"argument   {visible(name)}"
        yield from _warning(name)
        if isinstance(value, str):
            yield from _text(label, value)
        elif isinstance(value, list):
            yield f"{label}: {len(value)} elements"
            for position, element in enumerate(value):
                yield f"  [{position}] {_value(element)}"
                yield from _warning(element)
        else:
            yield f"{label} = {_value(value)}"
            yield from _warning(_value(value))


def _order(argument: tuple[str, Any]) -> tuple[bool, str]:
    name, value = argument
    return isinstance(value, str) and "\n" in value, name


def _text(label: str, text: str) -> Iterator[str]:
    if "\n" not in text:
        yield f"{label} = {quoted(text)}"
    else:
        data = text.encode()
        count = text.count("\n") + (not text.endswith("\n"))
        digest = hashlib.sha256(data).hexdigest()
        yield f"{label}: {len(data)} bytes, {count} lines, sha256 {digest}"
        yield from _block(text)
    yield from _warning(text)


def _block(text: str) -> Iterator[str]:
    shown = visible(text, lines=True).split("\n")
    if shown[-1] == "":
        shown.pop()
    else:
        shown[-1] += "  (no newline at the end)"
    yield from (f"  | {line}" for line in shown)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    return visible(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _warning(value: Any) -> list[str]:
    return [_MIXED] if isinstance(value, str) and is_mixed_script(value) else []


def _facts(action: Action) -> Iterator[str]:
    if (program := action.facts.program) is not None:
        yield f"program    {quoted(program.path)}  sha256 {program.sha256}"
        yield from _warning(program.path)
    for file in action.facts.files:
        yield f"checked    {quoted(file.path)}  {_state(file)}"
        yield from _warning(file.path)


def _state(file: FileFact) -> str:
    if not file.exists:
        return "does not exist yet"
    if file.sha256 is None:
        return "must be the same one when it runs"
    return f"exists: {file.size} bytes, sha256 {file.sha256}"


def _diff(action: Action) -> Iterator[str]:
    if (diff := action.facts.diff) is None:
        return
    lines = diff.split("\n")
    gained, lost = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    yield f"changes    {_lines(gained)} added, {_lines(lost)} removed"
    yield from _block(diff)
    yield from _warning(diff)


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _requester(approval: "Approval") -> str:
    through = "" if approval.requester_kind == "human" else f" through an {approval.requester_kind}"
    session = f", conversation {visible(approval.session)}" if approval.session else ""
    return f"{visible(approval.user_id)}{through}{session}"


def _people(approval: "Approval") -> Iterator[str]:
    if approval.needed > 1:
        named = [visible(vote.user_id) for vote in approval.votes if vote.decision == "approved"]
        so_far = f"approved so far by {', '.join(named)}" if named else "nobody has approved yet"
        yield f"needs      {approval.needed} different people; {so_far}"
    if (asker := approval.may_not_approve) is not None:
        yield f"not by     {visible(asker)}, who asks"


def _claims(approval: "Approval") -> Iterator[str]:
    if approval.reason is None:
        return
    who = "model" if approval.requester_kind == "agent" else "requester"
    yield ""
    yield f"what the {who} wrote about it (its own words, checked by nobody):"
    yield from _block(approval.reason.removesuffix("\n") + "\n")
    yield from _warning(approval.reason)
