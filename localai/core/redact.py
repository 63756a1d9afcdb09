"""Takes secrets out of text before it is written down: by shape, and by value once known."""

import re
from typing import Any

_SHAPES = re.compile(
    r"lai_[A-Za-z0-9]+_[A-Za-z0-9_-]{16,}"  # our API keys
    r"|\b(?:sk|xox[abpr]|gh[opsu]|hf|AKIA)[-_]?[A-Za-z0-9_-]{16,}"  # well-known vendors' tokens
    r"|https://hooks\.slack\.com/\S+"
    r"|(?i:\b(?:bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]+(@)")
_NAMES = r"(?:password|passwd|passphrase|secret|token|api[_-]?key)"
_ASSIGNED = re.compile(
    rf"(?i)(?<![\w-])([\w-]*{_NAMES}[\"']?\s*[:=]\s*)"
    r"""(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s"',;}&]+)"""
)
_SECRET_NAME = re.compile(rf"(?i){_NAMES}$")
MARK = "[redacted]"
_SHORTEST = 4  # a shorter value stands in too many words to be told from them

_known: set[str] = set()


def remember(value: str) -> None:
    """Redact this very value from now on, whatever its shape."""
    if len(value) >= _SHORTEST:
        _known.add(value)


def redact(text: str) -> str:
    """The text with every secret replaced by `[redacted]`."""
    for value in sorted(_known, key=len, reverse=True):  # one may be a part of another
        text = text.replace(value, MARK)
    text = _URL_PASSWORD.sub(rf"\1{MARK}\2", _SHAPES.sub(MARK, text))
    return _ASSIGNED.sub(rf"\1{MARK}", text)


def redact_all(value: Any) -> Any:
    """A JSON value with every text in it redacted, and whatever a secret's name points at."""
    if isinstance(value, dict):
        return {name: _named(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_all(inner) for inner in value]
    return redact(value) if isinstance(value, str) else value


def _named(name: str, value: Any) -> Any:
    is_secret = value is not None and _SECRET_NAME.search(name)
    return MARK if is_secret else redact_all(value)
