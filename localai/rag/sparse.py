"""Words to sparse vectors: our own BM25 values, English, Korean and code; pure.

English words are stemmed: 0.382 nDCG on Cranfield against 0.360. Korean words lose their josa
and are cut into pairs of syllables as well: 0.949 on KorQuAD against 0.839 for words as they
stand, without a dictionary. A name of code counts whole and by its parts, so that `getUserName`,
`get_user_name` and "user name" meet. The engine adds IDF to what stands here.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import mmh3
from py_rust_stemmers import SnowballStemmer  # type: ignore[import-untyped]

from localai.rag.stopwords import without_stopwords

# A change in what `tokens` gives needs a new number: indexed vectors must match queries.
TOKENIZER_VERSION = 2

_K1 = 1.2
_B = 0.75

_STEMMER = SnowballStemmer("english")
_WORD = re.compile(r"\w+")
_HANGUL = r"\uac00-\ud7a3"
_CJK = r"\u3040-\u30ff\u3400-\u9fff"
_RUN = re.compile(f"[{_HANGUL}]+|[{_CJK}]+|[^\\W{_HANGUL}{_CJK}]+")
# Where a name of code is put together: at `_`, at a capital, and between letters and digits.
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_JOSA_LIST = (
    "은 는 이 가 을 를 의 에 에서 에게 에게서 께 께서 한테 한테서 으로 로 으로서 로서 으로써"
    " 로써 으로부터 로부터 부터 까지 와 과 하고 이랑 랑 도 만 뿐 밖에 마저 조차 처럼 같이 보다"
    " 마다 이나 나 이든지 든지 이라도 라도 이며 며 이란 란 이라는 라는 이라고 라고 에는 에도"
    " 에만 에서는 에서도 에서의 에게는 으로는 로는 으로도 로도 까지는 까지도 부터는 와의 과의"
    " 이다 이었다 였다 입니다 인가 인가요"
)
_JOSA = frozenset(_JOSA_LIST.split())
_LONGEST_JOSA = max(map(len, _JOSA))


@dataclass(frozen=True)
class Sparse:
    """A sparse vector: `values` at ascending `indices`."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


def tokens(text: str) -> list[str]:
    """The terms of a text, repeated as often as they occur."""
    return list(chain.from_iterable(map(_terms, _words(text))))


def query_terms(question: str) -> list[str]:
    """The terms of a question, without the words that only make it a question."""
    return tokens(without_stopwords(question))


def term_ids(text: str) -> list[int]:
    """The terms of a text as the numbers that vectors know them by."""
    return list(chain.from_iterable(map(_ids, _words(text))))


def passage_vector(terms: Sequence[int], average: float) -> Sparse:
    """BM25 values of a passage's terms, given the collection's average number of them."""
    norm = _K1 * (1 - _B + _B * len(terms) / average) if average else _K1
    found = sorted(Counter(terms).items())
    values = tuple([n * (_K1 + 1) / (n + norm) for _, n in found])
    return Sparse(tuple([term for term, _ in found]), values)


def query_vector(terms: Sequence[int]) -> Sparse:
    """How often each term occurs in a query; a repeated word weighs more."""
    found = sorted(Counter(terms).items())
    return Sparse(tuple([term for term, _ in found]), tuple([float(n) for _, n in found]))


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text))


@lru_cache(maxsize=1 << 16)  # the same words come again and again
def _ids(word: str) -> tuple[int, ...]:
    return tuple(mmh3.hash(term, signed=False) for term in _terms(word))


def _terms(word: str) -> tuple[str, ...]:
    runs = _RUN.findall(word)
    return tuple(term for place, run in enumerate(runs) for term in _split(run, place))


def _split(run: str, place: int) -> Iterator[str]:
    if _is_between(run, "\uac00", "\ud7a3"):
        yield from _korean(run, is_suffix=place > 0)
    elif _is_between(run, "\u3040", "\u9fff"):
        yield from _pairs(run)
    else:
        yield from _name(run)


def _is_between(run: str, first: str, last: str) -> bool:
    return first <= run[0] <= last


def _name(run: str) -> Iterator[str]:
    """The run as one word, and the parts that it is put together from."""
    whole = run.replace("_", "")
    parts = _PART.findall(run) if run.isascii() else run.split("_")
    if whole:
        yield _stem(whole)
    if len(parts) > 1:
        yield from (_stem(part) for part in parts if len(part) > 1)


def _stem(word: str) -> str:
    folded = word.casefold()
    return _STEMMER.stem_word(folded) if folded.isascii() else folded


def _korean(run: str, *, is_suffix: bool) -> Iterator[str]:
    """The run without its josa, and its pairs of syllables."""
    lengths = range(_LONGEST_JOSA, 0, -1)
    stem = next((run[:-length] for length in lengths if run[-length:] in _JOSA), run)
    if not stem and is_suffix:
        return  # the josa of a word in another script, as in `GPU를`
    # One syllable left is too little to be sure that the rest was a josa.
    yield stem if len(stem) > 1 or is_suffix else run
    if len(run) > 1:
        yield from _pairs(run)


def _pairs(run: str) -> Iterator[str]:
    if len(run) == 1:
        yield run
    yield from (run[at : at + 2] for at in range(len(run) - 1))
