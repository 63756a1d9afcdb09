"""What an API key is for beside its permissions: models, requests, tokens. Pure."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from localai.core.errors import Invalid

AUTO: Final = "auto"
_MOST_MODELS = 64
_LONGEST = 200
_MOST_REQUESTS = 1_000_000
_MOST_TOKENS = 10**9
_SEPARATORS = re.compile(r"[,\s]+")


@dataclass(frozen=True)
class Allowance:
    """What a key may use; None is without end. `models` are names or roles, sorted."""

    models: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    tokens_per_day: int | None = None

    @property
    def words(self) -> str:
        """As people say it; empty where nothing is limited."""
        said = (
            ", ".join(self.models or ()),
            f"{self.requests_per_minute:,} requests a minute" if self.requests_per_minute else "",
            f"{self.tokens_per_day:,} tokens a day" if self.tokens_per_day else "",
        )
        return "; ".join(filter(None, said))


EVERYTHING: Final = Allowance()


def allowance(
    models: Sequence[str] = (),
    requests_per_minute: int | None = None,
    tokens_per_day: int | None = None,
) -> Allowance:
    """Read what was asked for; each of `models` may be several with commas between them."""
    names = tuple(sorted({name for text in models for name in _SEPARATORS.split(text) if name}))
    if len(names) > _MOST_MODELS or any(len(name) > _LONGEST for name in names):
        raise Invalid(f"a key is for {_MOST_MODELS} models at most", hint="or for all: no --models")
    if models and not names:
        raise Invalid("no model was named", hint="ai keys create --user NAME --models chat,code")
    if names == (AUTO,):
        message = "auto chooses between models: name those that it may choose"
        raise Invalid(message, hint="--models auto,chat,code")
    _check("requests-per-minute", requests_per_minute, _MOST_REQUESTS)
    _check("tokens-per-day", tokens_per_day, _MOST_TOKENS)
    return Allowance(names or None, requests_per_minute, tokens_per_day)


def allowance_in(row: Any) -> Allowance:
    """What stands in a row of the table of keys."""
    models = None if row.models is None else tuple(json.loads(row.models))
    return Allowance(models, row.requests_per_minute, row.tokens_per_day)


def columns(found: Allowance) -> dict[str, object]:
    """The same as it is stored."""
    models = None if found.models is None else json.dumps(found.models)
    return asdict(found) | {"models": models}


def _check(name: str, number: int | None, most: int) -> None:
    if number is not None and not 1 <= number <= most:
        raise Invalid(f"--{name} is a number from 1 to {most:,}", hint="leave it out for no limit")
