"""How likely tokens were, as OpenAI's clients read it; pure."""

from collections.abc import Sequence
from typing import Any, Final

from localai.infer.engine import Chance

_LOWEST: Final = -9999.0  # JSON has no infinity; OpenAI's own servers write this


def of(kind: str, chances: Sequence[Chance], offset: int = 0) -> dict[str, Any] | None:
    """Of a message, or of the older kind of text, which begins `offset` characters in."""
    if not chances:
        return None
    if kind == "chat":
        return {"content": list(map(_token, chances)), "refusal": None}
    texts = [_text(each.token) for each in chances]
    return {
        "tokens": texts,
        "token_logprobs": [_number(each.logprob) for each in chances],
        "top_logprobs": [_tops(each) for each in chances],
        "text_offset": [offset + len("".join(texts[:place])) for place in range(len(texts))],
    }


def _token(drawn: Chance) -> dict[str, Any]:
    tops = [_one(token, logprob) for token, logprob in drawn.tops]
    return _one(drawn.token, drawn.logprob) | {"top_logprobs": tops}


def _one(token: bytes, logprob: float) -> dict[str, Any]:
    return {"token": _text(token), "logprob": _number(logprob), "bytes": list(token)}


def _tops(drawn: Chance) -> dict[str, float]:
    """Of two tokens that look alike the likelier; the one that was drawn is always among them."""
    found = {_text(token): _number(logprob) for token, logprob in reversed(drawn.tops)}
    return found | {_text(drawn.token): _number(drawn.logprob)}


def _text(token: bytes) -> str:
    return token.decode(errors="replace")


def _number(logprob: float) -> float:
    return max(logprob, _LOWEST)
