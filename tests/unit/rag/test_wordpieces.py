"""The remembering tokenizer gives what the model's own gives, for any text."""

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from localai.rag.embed import SHIPPED_FOLDER
from localai.rag.wordpieces import Wordpieces


def _own() -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer.from_file(str(SHIPPED_FOLDER / "tokenizer.json"))
    made.enable_truncation(max_length=32)
    made.enable_padding(pad_id=0, pad_token="[PAD]")
    return made


OWN = _own()
REMEMBERING = Wordpieces(_own())
AWKWARD = (
    "aZ \t\n\r\x0b\x1c\x1f\x7f\x85\u00a0\u3000.,-[PAD]'\u00e9e\u0301\u03a3\u0130"
    "한국을中\u202e\ufffd"
)


def _both(texts: list[str]) -> None:
    found = REMEMBERING.encode_batch(texts)
    for ours, own in zip(found, OWN.encode_batch(texts), strict=True):
        assert ours.ids.tolist() == own.ids
        assert ours.attention_mask.tolist() == own.attention_mask


@given(st.lists(st.text(st.sampled_from(AWKWARD) | st.characters(codec="utf-8")), max_size=4))
def test_any_text_is_cut_as_the_tokenizer_cuts_it(texts: list[str]) -> None:
    """Ids, padding and what counts."""
    _both(texts)


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox, e.g. 'jumps' over\tthe lazy-dog.\n",
        "house of the river " * 40,
        "a [PAD] and [UNK] stand[PAD]here",
        "x" * 101,
        "",
    ],
)
def test_words_stay_words(text: str) -> None:
    """Also where a text is longer than the model reads."""
    _both([text, "short"])
