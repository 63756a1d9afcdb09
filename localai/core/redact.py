"""Takes secrets out of text before it is written down: by shape, and by value once known.

Every pattern reads a text once, however hostile it is: what it repeats cannot hold what it begins
with, so no two attempts go over the same characters.
"""

import re
from typing import Any

_SHAPES = re.compile(
    r"lai_[A-Za-z0-9]+_[A-Za-z0-9_-]{16,}"  # our API keys
    # Well-known vendors' tokens: OpenAI, Stripe, Slack, GitHub, GitLab, Hugging Face, PyPI, npm.
    r"|\b(?:sk[-_]|rk_|xox[a-z]-|xapp-|gh[oprsu]_|github_pat_|glpat-|hf_|py" + "pi-|npm_)"
    r"[A-Za-z0-9_-]{16,}"
    r"|\bA[KS]IA[A-Z0-9]{16}"  # Amazon
    r"|\bAIza[A-Za-z0-9_-]{30,}"  # Google
    r"|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*"  # JWT
    r"|\b[A-Z2-7]{32}\b"  # what makes one-time codes
    r"|otpauth://\S+"
    r"|https://hooks\.slack(?:-gov)?\.com/\S+"
    r"|(?i:\bauthorization[\"']?\s*[:=]\s*[\"']?[^\r\n\"',}]+)"
    r"|(?i:\b(?:bearer|basic|auth\s+plain|auth\s+login)\s+[A-Za-z0-9+/=._~-]{8,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----"
    r"[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s]+(@)")
_NAMES = (
    r"(?:password|passwd|passphrase|passcode|token|secret(?:[_-]?access)?(?:[_-]?key)?"
    r"|(?:api|private)[_-]?key|authorization|cookie)"
)
_ASSIGNED = re.compile(
    rf"(?i)(?<![\w-])([\w-]*{_NAMES}[\"']?\s*[:=]\s*|--[\w-]*{_NAMES}\s+(?!-))"
    r"""(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s"',;}&]+)"""
)
_SECRET_NAME = re.compile(rf"(?i){_NAMES}$")
# Too short for any of these, and nothing in it that a name could be told from its value by.
_HARMLESS = re.compile(r"[A-Za-z0-9_.-]{0,17}")
MARK = "[redacted]"
_SHORTEST = 4  # a shorter value stands in too many words to be told from them

_known: list[str] = []  # the longest first: one may be a part of another


def remember(value: str) -> None:
    """Redact this very value from now on, whatever its shape."""
    if len(value) >= _SHORTEST and value not in _known:
        _known.append(value)
        _known.sort(key=len, reverse=True)


def redact(text: str) -> str:
    """The text with every secret replaced by `[redacted]`."""
    for value in tuple(_known):
        if value in text:
            text = text.replace(value, MARK)
    if _HARMLESS.fullmatch(text):
        return text
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
