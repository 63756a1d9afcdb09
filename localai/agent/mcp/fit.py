"""Which of a server's tools can be tools of ours, and why the others cannot; pure."""

import re
from collections import Counter
from collections.abc import Sequence

from localai.agent.mcp.offers import LeftOut, Offer
from localai.core.canonical import canonical
from localai.core.errors import Invalid
from localai.infer import schema

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_LONGEST_DESCRIPTION = 8_192
_LARGEST_SCHEMA = 65_536


def sorted_out(offers: Sequence[Offer]) -> tuple[tuple[Offer, ...], tuple[LeftOut, ...]]:
    """The offers that can be tools of ours, and those that cannot."""
    named = Counter(offer.name for offer in offers)
    obstacles = [(offer, _obstacle(offer, named[offer.name])) for offer in offers]
    fit = tuple(offer for offer, why in obstacles if why is None)
    unfit = tuple(LeftOut(offer.name, why) for offer, why in obstacles if why is not None)
    return fit, unfit


def _obstacle(offer: Offer, count: int) -> str | None:
    if count > 1:
        return "the server offers two tools of this name"
    if not _NAME.fullmatch(offer.name):
        return "its name is not made of 1 to 64 of A-Z, a-z, 0-9, _ . and -"
    if len(offer.description) > _LONGEST_DESCRIPTION:
        return f"its description is longer than {_LONGEST_DESCRIPTION} characters"
    try:
        if len(canonical(offer.parameters)) > _LARGEST_SCHEMA:
            return f"the schema of its arguments is larger than {_LARGEST_SCHEMA} bytes"
        _ = offer.sha256
        schema.accept(offer.parameters, "the schema of its arguments")
    except Invalid as error:
        return error.message
    return None
