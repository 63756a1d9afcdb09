"""Which language a text is in, as far as retrieval needs to know; pure."""

import re

# Untuned: fusing an English model's vectors into Korean queries took nDCG from 0.949 to 0.775.
_KOREAN_SHARE = 0.3

_LETTER = re.compile(r"[^\W\d_]")
_HANGUL = re.compile(r"[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")


def is_korean(text: str) -> bool:
    """Tell whether at least three in ten of the letters are Hangul."""
    hangul = 0 if text.isascii() else len(_HANGUL.findall(text))
    return hangul > 0 and hangul >= _KOREAN_SHARE * len(_LETTER.findall(text))
