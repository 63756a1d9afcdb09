"""Records that every room uses."""

from dataclasses import FrozenInstanceError, asdict

import pytest

from localai.core.records import Page


def test_a_page_is_the_shape_of_every_list() -> None:
    """As the command line's contract has it."""
    assert asdict(Page(["a"], 3, "1")) == {"items": ["a"], "total": 3, "next": "1"}
    assert Page([], 0).next is None


def test_a_page_does_not_change() -> None:
    """What leaves a room is frozen."""
    with pytest.raises(FrozenInstanceError):
        Page([], 0).total = 1  # type: ignore[misc]
