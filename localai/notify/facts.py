"""What is told of a request: redacted, cut where it is long, and said so; as JSON."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from localai.core.redact import redact, redact_all

MOST_TEXT: Final = 400
MOST_ARGUMENTS: Final = 20
_LOOKED_AT: Final = 20_000  # characters: a secret that begins later is not in what is told
_PLAIN: Final = (
    *("id", "tool", "risk", "user_id", "requester_kind", "session", "action_sha256"),
    *("created_us", "expires_us", "decided_by", "by"),
)


def facts_of(row: Mapping[str, Any]) -> str:
    """The facts of a request's row, and of what happened to it (`by` and `why`), as JSON."""
    action = json.loads(row["action"])
    told = {name: row.get(name) for name in _PLAIN}
    told |= {
        "workspace": cut(str(action["cwd"])),
        "arguments": [list(pair) for pair in _arguments(action["arguments"])],
        "reason": cut(row.get("reason") or ""),
        "why": cut(row.get("why") or ""),
    }
    return json.dumps(told, ensure_ascii=False)


def _arguments(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    some = sorted(arguments)[:MOST_ARGUMENTS]
    looked_at = {name: _bounded(arguments[name]) for name in some}
    for name, value in redact_all(looked_at).items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield (
            cut(name),
            cut(text, len(arguments[name]) if isinstance(arguments[name], str) else None),
        )
    if more := len(arguments) - len(some):
        yield "...", f"[+{more}]"


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_LOOKED_AT]
    if isinstance(value, list):
        return [_bounded(each) for each in value[:MOST_TEXT]]
    if isinstance(value, dict):
        return {name: _bounded(value[name]) for name in list(value)[:MOST_TEXT]}
    return value


def cut(text: str, whole: int | None = None) -> str:
    """The text redacted, cut where it is long, and saying so; `whole` is its true length."""
    size = whole or len(text)
    text = redact(text[:_LOOKED_AT])
    if len(text) <= MOST_TEXT:
        return text
    return f"{text[:MOST_TEXT]} [... +{max(size, len(text)) - MOST_TEXT}]"
