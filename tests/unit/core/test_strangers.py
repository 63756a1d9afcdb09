"""Who may ask, and with which key."""

import pytest

from localai.core.errors import Denied
from localai.core.strangers import Misdirected, Strangers, has_key, is_loopback, key_in


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"x-api-key": "k"}, "k"),
        ({"authorization": "Bearer k"}, "k"),
        ({"authorization": "bearer  k "}, "k"),
        ({"authorization": "Bearer k", "x-api-key": "k"}, "k"),
    ],
)
def test_a_key_comes_in_either_header(given: dict[str, str], key: str) -> None:
    """Or in both, if it is one."""
    assert has_key(given)
    assert key_in(given) == key


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"x-api-key": ""},
        {"authorization": ""},
        {"authorization": "k"},
        {"authorization": "Bearer "},
        {"authorization": "Basic azpr", "x-api-key": "k"},
        {"authorization": "Bearer a", "x-api-key": "b"},
        {"authorization": "Bearer ", "x-api-key": "b"},
    ],
)
def test_anything_else_is_no_key(given: dict[str, str]) -> None:
    """Also where one of two could be meant."""
    with pytest.raises(Denied):
        key_in(given)


@pytest.mark.parametrize(
    ("host", "is_one"),
    [("127.0.0.1", True), ("::1", True), ("LOCALHOST", True), ("0.0.0.0", False), ("::", False)],
)
def test_loopback_is_this_machine_alone(host: str, is_one: bool) -> None:
    """An address that stands for all of them is not."""
    assert is_loopback(host) is is_one


def test_a_foreign_name_and_a_foreign_page_are_told_apart() -> None:
    """The one was sent to the wrong place, the other came from one."""
    ours = Strangers("127.0.0.1")
    ours.refuse("localhost:8020", None)
    ours.refuse("192.0.2.7", "http://192.0.2.7:8020")
    with pytest.raises(Misdirected):
        ours.refuse("evil.example", None)
    with pytest.raises(Denied) as told:
        ours.refuse("localhost", "http://evil.example")
    assert not isinstance(told.value, Misdirected)
