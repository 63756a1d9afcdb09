r"""The one function through which hostile text passes on its way to a person's eyes.

No control character (C0, C1), no format character (Cf: bidi marks, zero-width characters), no
surrogate and no line separator leaves unescaped; each is spelled out as `\u{202E}`. Callers
print the result as plain text: markup of any renderer must be off.
"""

import unicodedata
from functools import cache

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Blank to the eye although Unicode calls them letters, marks, symbols or spaces.
_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f"
)
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")


def visible(text: str, *, lines: bool = False) -> str:
    """Spell out every character that a terminal would obey or hide; `lines` keeps newlines."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char, lines=lines) for char in text)


def is_hidden(char: str) -> bool:
    """Tell whether a terminal would obey the character, or show nothing that can be seen."""
    return unicodedata.category(char) in _HIDDEN or char in _BLANK or _is_variation(char)


def is_mixed_script(text: str) -> bool:
    """Tell whether a word mixes alphabets that look alike: a Latin one with a Cyrillic letter."""
    if text.isascii():
        return False
    words = "".join(char if char.isalpha() else " " for char in text).split()
    return any(len({_script(char) for char in word} - {""}) > 1 for word in words)


def _shown(char: str, *, lines: bool) -> str:
    if char == "\n" and lines:
        return char
    if char in {"\n", "\r", "\t"}:
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char]
    return f"\\u{{{ord(char):04X}}}" if is_hidden(char) else char


def _is_variation(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"


@cache
def _script(char: str) -> str:
    name = unicodedata.name(char, "")
    return next((script for script in _SCRIPTS if name.startswith(script)), "")
