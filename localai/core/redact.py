"""Takes secrets out of text before it is written down: by shape, and by value once known."""

import re

_SHAPES = re.compile(
    r"lai_[A-Za-z0-9]+_[A-Za-z0-9_-]{16,}"  # our API keys
    r"|(?:sk|xox[abpr]|gh[opsu]|hf|AKIA)[-_]?[A-Za-z0-9-]{16,}"  # well-known vendors' tokens
    r"|https://hooks\.slack\.com/\S+"
    r"|(?i:\b(?:bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
_URL_PASSWORD = re.compile(r"(://[^/\s:@]+:)[^/\s@]+(@)")
_ASSIGNED = re.compile(
    r"(?i)\b([\w-]*(?:password|passwd|passphrase|secret|token|api[_-]?key)[\"']?\s*[:=]\s*[\"']?)"
    r"[^\s\"',;}&]+"
)
MARK = "[redacted]"

_known: set[str] = set()


def remember(value: str) -> None:
    """Redact this very value from now on, whatever its shape."""
    if value:
        _known.add(value)


def redact(text: str) -> str:
    """The text with every secret replaced by `[redacted]`."""
    for value in _known:
        text = text.replace(value, MARK)
    text = _URL_PASSWORD.sub(rf"\1{MARK}\2", _SHAPES.sub(MARK, text))
    return _ASSIGNED.sub(rf"\1{MARK}", text)
