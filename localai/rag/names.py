"""What a collection may be called."""

import re

from localai.core.errors import Conflict, Invalid, NotFound

_NAME = re.compile(r"\w[\w.-]{0,63}")


def is_name(text: str) -> bool:
    """Whether a collection that people see can be called so."""
    return _NAME.fullmatch(text) is not None


def check_name(text: str) -> None:
    """Raise Invalid for a name that no new collection can have."""
    if not is_name(text):
        message = f"{text!r} cannot name a collection"
        raise Invalid(message, hint="use letters, digits, - _ and . , at most 64")


def check_known(text: str) -> None:
    """Raise NotFound for what is no name, and hides no collection from people either."""
    if not is_name(text):
        raise NotFound(f"there is no collection {text!r}", hint="ai rag collections list")


def taken(name: str) -> Conflict:
    """The error for a name that a new collection cannot have, because another one has it."""
    message = f"there is a collection {name!r} already"
    return Conflict(message, hint="give it another name with --name NAME, or --replace it")
