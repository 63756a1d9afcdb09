"""Words to sparse vectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.rag.sparse import passage_vector, query_terms, query_vector, term_ids, tokens


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Running RUNS, run!", ["run", "run", "run"]),
        ("v1.2", ["v1", "2"]),
        ("\ufb01le \uff21\uff22", ["file", "ab"]),
        ("Straße", ["strass"]),
        ("", []),
        ("!? -- ...", []),
    ],
)
def test_words_are_folded_split_and_stemmed(text: str, terms: list[str]) -> None:
    """A question finds a passage whatever the form of its words."""
    assert tokens(text) == terms


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("getUserName", ["getusernam", "get", "user", "name"]),
        ("get_user_name", ["getusernam", "get", "user", "name"]),
        ("HTTPServer", ["httpserver", "http", "server"]),
        ("MAX_PASSAGES", ["maxpassag", "max", "passag"]),
        ("__init__", ["init"]),
        ("sha256", ["sha256", "sha", "256"]),
        ("iPhone", ["iphon", "phone"]),
        ("read_file을", ["readfil", "read", "file"]),
        ("naïve_café", ["naïvecafé", "naïve", "café"]),
        ("_", []),
    ],
)
def test_a_name_of_code_counts_whole_and_by_its_parts(name: str, terms: list[str]) -> None:
    """However it is written, and with a josa; parts of one letter say nothing."""
    assert tokens(name) == terms


def test_a_question_is_asked_without_the_words_that_only_make_it_one() -> None:
    """In Korean documents "the" would be a rare word."""
    assert query_terms("Where is the lock taken?") == tokens("lock taken")
    assert query_terms("잠금은 어디에서 잡나요?") == tokens("잠금은 잡나요")
    assert query_terms("what is it") == tokens("what is it")


@pytest.mark.parametrize(
    ("word", "terms"),
    [
        ("승인을", ["승인", "승인", "인을"]),
        ("서울에서는", ["서울", "서울", "울에", "에서", "서는"]),
        ("나는", ["나는", "나는"]),
        ("집", ["집"]),
        ("은", ["은"]),
    ],
)
def test_korean_words_lose_their_josa_and_give_pairs(word: str, terms: list[str]) -> None:
    """One syllable is too little to be sure that the rest was a josa."""
    assert tokens(word) == terms


@pytest.mark.parametrize(
    ("word", "terms"),
    [("GPU를", ["gpu"]), ("3월에", ["3", "월", "월에"]), ("AI모델", ["ai", "모델", "모델"])],
)
def test_a_josa_after_another_script_goes(word: str, terms: list[str]) -> None:
    """`GPU를` and `GPU` are one word."""
    assert tokens(word) == terms


def test_han_and_kana_give_pairs() -> None:
    """Scripts without spaces need no dictionary either."""
    assert tokens("日本語 字") == ["日本", "本語", "字"]


def test_question_weights_count_repeated_words() -> None:
    """Measured: counting lifts a long question, and harms none."""
    assert sorted(query_vector(term_ids("key key lock")).values) == [1.0, 2.0]


def test_passage_values_saturate_and_fall_with_length() -> None:
    """The tenth occurrence says less than the second; a long passage says less a word."""
    once = passage_vector([1], 1.0).values[0]
    often = passage_vector([1] * 10, 10.0).values[0]
    diluted = max(passage_vector([1, *range(2, 52)], 10.0).values)
    assert diluted < once == 1.0 < often < 2.2


def test_a_question_and_a_passage_meet_at_the_same_index() -> None:
    """Ids come from the word alone, on every machine."""
    terms = term_ids("승인")
    assert query_vector(terms).indices == passage_vector(terms, 1.0).indices == (3002957774,)


@given(st.text())
def test_any_text_gives_a_vector_the_engine_takes(text: str) -> None:
    """Indices ascend without doubles, and values are positive."""
    terms = term_ids(text)
    assert len(terms) == len(tokens(text))
    for vector in (query_vector(terms), passage_vector(terms, 3.0)):
        assert list(vector.indices) == sorted(set(vector.indices))
        assert len(vector.indices) == len(vector.values)
        assert all(value > 0 for value in vector.values)
        assert all(0 <= index < 2**32 for index in vector.indices)
