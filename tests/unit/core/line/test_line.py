"""Processes of one home talk over its line, and nobody else does."""

import os
import socket
import stat
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from localai.core.errors import Conflict, Invalid, LocalaiError, Lost, NotFound
from localai.core.line import client, server
from localai.core.line.client import Line, find
from localai.core.line.frames import packed
from localai.core.line.method import Method, Tell
from localai.core.line.place import Place
from localai.core.line.server import Answering, answering


@dataclass(frozen=True)
class Order:
    """What is asked for."""

    dish: str
    sizes: tuple[float, ...] = ()
    note: str | None = None


def _echo(order: Order, _: Tell) -> Order:
    return order


def _refuse(order: Order, _: Tell) -> None:
    raise NotFound(f"no {order.dish}", hint="another dish")


def _break(_: Order, __: Tell) -> None:
    raise ZeroDivisionError


def _tell(order: Order, tell: Tell) -> str:
    tell("it takes a while")
    return order.dish


def _count(most: int, tell: Tell) -> Generator[int]:
    for number in range(most):
        tell(f"now {number}")
        yield number
    if most == 3:
        raise Conflict("three is too many")


METHODS = {
    "echo": Method(Order, _echo),
    "refuse": Method(Order, _refuse),
    "break": Method(Order, _break),
    "tell": Method(Order, _tell),
    "count": Method(int, _count),
}
SOUP = Order("국", (0.1, 2.0), "hot")


@contextmanager
def answered(place: Place, methods: Mapping[str, Method] = METHODS) -> Iterator[Answering]:
    """A place at which these are answered."""
    with answering(place, lambda _: methods) as found:
        assert found is not None
        yield found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where nobody listens yet."""
    return Place(tmp_path / "serve")


@pytest.fixture
def line(place: Place) -> Iterator[Line]:
    """A line to somebody who answers."""
    with answered(place):
        found = find(place)
        assert found is not None
        yield found
        found.close()


def test_what_is_asked_is_answered_as_it_was_meant(line: Line) -> None:
    """Records of both ends are of one type, whatever letters and numbers they have."""
    assert [line.call("echo", SOUP, Order) for _ in range(3)] == [SOUP] * 3
    assert line.call("echo", replace(SOUP, note=None), Order).note is None


def test_an_answer_comes_part_by_part(line: Line) -> None:
    """And what the person should know is told where it belongs."""
    told: list[str] = []
    assert list(line.stream("count", 2, int, told.append)) == [0, 1]
    assert told == ["now 0", "now 1"]
    assert line.call("tell", SOUP, str, told.append) == "국"
    assert told[2:] == ["it takes a while"]


@pytest.mark.parametrize(
    ("method", "given", "error"),
    [("refuse", SOUP, NotFound), ("break", SOUP, LocalaiError), ("unknown", SOUP, Invalid)],
)
def test_what_goes_wrong_there_is_raised_here(
    line: Line, method: str, given: object, error: type[LocalaiError]
) -> None:
    """With its category, its words and its hint; the line can be used on."""
    with pytest.raises(error) as raised:
        line.call(method, given, str)
    assert type(raised.value) is error
    if error is NotFound:
        assert (raised.value.message, raised.value.hint) == ("no 국", "another dish")
    assert line.call("echo", SOUP, Order) == SOUP


def test_an_answer_may_fail_after_its_first_part(line: Line) -> None:
    """What came stays."""
    found: list[int] = []
    with pytest.raises(Conflict, match="three is too many"):
        found.extend(line.stream("count", 3, int))
    parts = line.stream("count", 3, int)
    assert [next(parts), next(parts), next(parts)] == [0, 1, 2]


def test_what_is_of_another_kind_is_refused(line: Line) -> None:
    """Neither end works on what it did not expect."""
    with pytest.raises(LocalaiError, match="Order|object|array"):
        line.call("echo", "soup", Order)


def test_who_hangs_up_midway_ends_the_answer(place: Place) -> None:
    """The generator is closed, so that a model stops."""
    is_closed = threading.Event()

    def endless(_: int, __: Tell) -> Generator[int]:
        try:
            while True:
                yield 1
        finally:
            is_closed.set()

    with answered(place, {"endless": Method(int, endless)}):
        line = find(place)
        assert line is not None
        parts = line.stream("endless", 0, int)
        assert next(parts) == 1
        parts.close()
        assert is_closed.wait(30)


def test_who_reads_slowly_holds_nobody_up(place: Place) -> None:
    """A terminal that was stopped: what has been said to it waits, and the answer ends."""
    is_over = threading.Event()

    def long(_: int, __: Tell) -> Generator[str]:
        for number in range(2000):
            yield f"{number} " * 100
        is_over.set()

    with answered(place, {"long": Method(int, long)}):
        line = find(place)
        assert line is not None
        parts = line.stream("long", 0, str)
        first = next(parts)
        assert is_over.wait(30)
        assert [first, *parts][1999].startswith("1999 ")


def test_only_its_owner_can_open_it(place: Place) -> None:
    """Folder 0700, socket and note 0600."""
    with answered(place):
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in place.folder.iterdir()}
        assert modes == {"lock": 0o600, "socket": 0o600, "listener.json": 0o600}
        assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700
    assert [each.name for each in place.folder.iterdir()] == ["lock"]


@pytest.mark.parametrize("said", [bytes(packed("a wrong key")), b"", b"x" * 10_000])
def test_who_does_not_know_the_key_is_answered_nothing(place: Place, said: bytes) -> None:
    """Though it could connect, as a program in a sandbox perhaps can."""
    with answered(place):
        stranger = Connection(place.connect().detach())
        stranger.send_bytes(said)
        with pytest.raises((EOFError, ConnectionResetError)):
            stranger.recv_bytes()
        assert find(place) is not None


def test_nobody_is_found_where_nobody_listens(place: Place) -> None:
    """Neither before, nor after, nor where one was killed, nor one of another version."""
    assert find(place) is None
    with answered(place):
        left = place.read()
        assert left is not None
        place.write(replace(left, version="0.0.1"))
        assert find(place) is None
        place.write(left)
        assert find(place) is not None
    assert find(place) is None
    place.write(left)  # as a kill leaves it
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place.address))
    assert find(place) is None
    place.folder.joinpath("listener.json").write_text("{half")
    assert find(place) is None
    with answered(place):
        assert find(place) is not None


def test_a_line_says_when_its_other_end_is_gone(place: Place) -> None:
    """A call raises what those catch who can do without."""
    with answered(place):
        line = find(place)
        assert line is not None
        assert line.call("echo", SOUP, Order) == SOUP
        assert line.is_open()
    assert not line.is_open()
    with pytest.raises(Lost):
        line.call("echo", SOUP, Order)


def test_one_process_answers_for_a_home(place: Place) -> None:
    """A second one is told so."""
    with answered(place), answering(place, lambda _: METHODS) as second:
        assert second is None
        assert find(place) is not None


def test_a_home_may_lie_deep(tmp_path: Path) -> None:
    """Deeper than the path of a socket may be long."""
    place = Place(tmp_path.joinpath(*["folder-of-a-long-name"] * 8, "serve"))
    assert len(os.fsencode(place.address)) > 108
    with answered(place):
        line = find(place)
        assert line is not None
        assert line.call("echo", SOUP, Order) == SOUP


def test_what_is_under_way_is_answered_before_it_ends(place: Place) -> None:
    """And nobody else is taken meanwhile."""
    is_begun, may_end = threading.Event(), threading.Event()

    def slow(_: int, __: Tell) -> str:
        is_begun.set()
        assert may_end.wait(30)
        return "done"

    with answered(place, {"slow": Method(int, slow)}) as server_:
        line, found = find(place), []
        assert line is not None
        asking = threading.Thread(target=lambda: found.append(line.call("slow", 0, str)))
        asking.start()
        assert is_begun.wait(30)
        ending = threading.Thread(target=server_.end, args=[30])
        ending.start()
        while find(place) is not None:
            pass
        may_end.set()
        ending.join(30)
        asking.join(30)
        assert found == ["done"]


def test_callers_have_an_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than can be served is sent away, and comes in when another has gone."""
    monkeypatch.setattr(server, "MAX_CALLERS", 2)
    with answered(place) as answers:
        lines = [found for found in (find(place), find(place)) if found]
        assert answers.callers == 2
        assert find(place) is None
        lines[0].close()
        while answers.callers == 2:
            pass
        more = find(place)
        assert more is not None
        assert more.call("echo", SOUP, Order) == SOUP


def test_a_process_that_was_stopped_counts_as_gone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes connections, and says nothing."""
    monkeypatch.setattr(client, "_PATIENCE_S", 0.1)
    with answered(place):
        left = place.read()
    assert left is not None
    place.write(left)
    with place.listen():
        assert find(place) is None
