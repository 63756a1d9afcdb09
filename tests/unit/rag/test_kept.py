"""What one question opened serves the next, and is given back."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from localai.rag import kept
from localai.rag.kept import Kept, Lent


class Door:
    """Counts how often it was opened; says when it is closed."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = threading.Event()
        self.wanted = threading.Event()

    @contextmanager
    def through(self) -> Iterator[Lent[int]]:
        self.opened += 1
        self.closed.clear()
        try:
            yield self.opened, self.wanted.is_set
        finally:
            self.closed.set()


@pytest.fixture
def door() -> Door:
    return Door()


def test_a_second_question_finds_it_open(door: Door) -> None:
    """Opened once; a change closes it."""
    made = Kept(door.through)
    for _ in range(3):
        with made.lent(is_kept=True) as number:
            assert number == 1
    assert not door.closed.is_set()
    with made.lent(is_kept=False) as number:
        assert number == 1
    assert door.closed.is_set()


def test_it_closes_by_itself(door: Door) -> None:
    """When nobody asks again."""
    with Kept(door.through, kept_s=0.0).lent(is_kept=True):
        pass
    assert door.closed.wait(30)


def test_who_wants_it_gets_it_while_nobody_asks(door: Door) -> None:
    """Without another question."""
    with Kept(door.through).lent(is_kept=True):
        pass
    assert not door.closed.is_set()
    door.wanted.set()
    assert door.closed.wait(30)


def test_who_asks_on_and_on_gives_it_back(door: Door) -> None:
    """To who waits, who has time to come in."""
    made = Kept(door.through)
    door.wanted.set()
    with made.lent(is_kept=True):
        pass
    assert door.closed.is_set()
    shut = time.monotonic()
    with made.lent(is_kept=True) as number:
        assert number == 2
        assert time.monotonic() - shut >= kept._PAUSE_S * 0.9


def test_a_question_that_fails_closes_it(door: Door) -> None:
    """What may be broken is opened anew."""
    with pytest.raises(KeyError), Kept(door.through).lent(is_kept=True):
        raise KeyError
    assert door.closed.is_set()


def test_closing_what_is_closed_is_no_error(door: Door) -> None:
    """As at the end of a process."""
    made = Kept(door.through)
    made.close()
    assert door.opened == 0
