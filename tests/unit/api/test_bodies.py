"""Bodies are refused for what no reader of the description would send."""

import sys

import pytest
from pydantic import ValidationError

from localai.api.memory_bodies import Wanted
from localai.api.rag_bodies import Question

BLANK = [each for each in map(chr, range(sys.maxunicode + 1)) if each.isspace()]


@pytest.mark.parametrize("blank", [*BLANK, "".join(BLANK)], ids=ascii)
def test_what_is_blank_is_no_question(blank: str) -> None:
    """To whichever reader of expressions: they do not agree on what a blank is."""
    for make in (lambda: Question(question=blank), lambda: Wanted(q=blank)):
        with pytest.raises(ValidationError):
            make()
    assert Question(question=f"{blank}?").question
