"""Ids, and the prefixes that people type instead."""

import pytest

from localai.core.errors import Invalid, NotFound
from localai.core.ids import check_prefix, new_id, only


def test_an_id_is_16_random_hexadecimal_digits() -> None:
    """A thousand of them differ within their first 12."""
    made = [new_id() for _ in range(1000)]
    assert {len(check_prefix(each)) for each in made} == {16}
    assert len({each[:12] for each in made}) == 1000


@pytest.mark.parametrize("prefix", ["3f2a", "0000", "3f2a9c0b11d2e3f4", "a" * 32])
def test_a_prefix_of_4_digits_or_more_is_taken(prefix: str) -> None:
    """It is given back as it is."""
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "3f2",
        "%",
        "____",
        "3f2%",
        "3f2a%",
        "****",
        "3F2A",
        "3f2g",
        "3f2a\n",
        " 3f2a",
        "a" * 33,
        "\uff13f2a",
        "3f2a' OR 1=1 --",
    ],
)
def test_no_wildcard_and_nothing_else_is_a_prefix(prefix: str) -> None:
    """Whatever a LIKE or GLOB would widen never gets that far."""
    with pytest.raises(Invalid, match="is not an id"):
        check_prefix(prefix)


def test_the_one_candidate_is_taken() -> None:
    """The short form names it."""
    assert only("3f2a", "request", ["3f2a9c0b"], hint="h") == "3f2a9c0b"


def test_no_candidate_is_not_found() -> None:
    """The hint says where to look."""
    with pytest.raises(NotFound, match="no request 3f2a") as caught:
        only("3f2a", "request", [], hint="ai approvals list")
    assert caught.value.hint == "ai approvals list"


def test_several_candidates_are_listed_and_none_is_taken() -> None:
    """An ambiguous prefix decides nothing."""
    with pytest.raises(Invalid, match="3f2a names 2 requests: 3f2a1111, 3f2a2222"):
        only("3f2a", "request", ["3f2a2222", "3f2a1111"], hint="h")


def test_an_id_typed_in_full_is_never_ambiguous() -> None:
    """Even where it begins a longer one."""
    assert only("3f2a", "request", ["3f2a1111", "3f2a"], hint="h") == "3f2a"
