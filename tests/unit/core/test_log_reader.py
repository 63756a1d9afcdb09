"""Reading the log: the end first, and what is added, whatever becomes of the files."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from localai.core.errors import Invalid
from localai.core.log_file import KEPT, names
from localai.core.log_reader import MOST_LINE, Line, Tail, Wanted

ALL = Wanted()


def _text(number: int, **more: object) -> str:
    moment = f"2026-01-01T00:{number // 60:02}:{number % 60:02}.000Z"
    return json.dumps({"at": moment, "level": "info", "event": "e", "number": number} | more)


def _write(file: Path, *numbers: int, mode: str = "a") -> None:
    with file.open(mode, encoding="utf-8") as opened:
        opened.writelines(f"{_text(number)}\n" for number in numbers)


def _numbers(lines: list[Line]) -> list[Any]:
    return [line.entry["number"] if line.entry else line.text for line in lines]


def _last(file: Path, wanted: Wanted, limit: int | None = None) -> list[Line]:
    with closing(Tail(file)) as tail:
        return tail.last(wanted, limit)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "localai.log"


def test_the_newest_lines_come_last_over_all_files(file: Path) -> None:
    """Those with numbers are older, the highest the oldest; a gap between them is none."""
    for place, numbers in zip(names(file), ([8, 9], [6, 7], [], [3, 4, 5], [1]), strict=True):
        if numbers:
            _write(place, *numbers)
    assert _numbers(_last(file, ALL)) == [1, 3, 4, 5, 6, 7, 8, 9]
    assert _numbers(_last(file, ALL, 4)) == [6, 7, 8, 9]
    assert _last(file, ALL, 0) == []


@pytest.mark.parametrize("count", [1, 2, 700, 3000])
def test_lines_that_lie_over_the_ends_of_blocks_are_whole(file: Path, count: int) -> None:
    """Wherever a block happens to begin."""
    _write(file, *range(count))
    assert _numbers(_last(file, ALL)) == list(range(count))


def test_little_of_a_large_log_is_read_for_a_few_lines(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block of the newest file, of 25 MB in five."""
    line = f"{_text(1)}\n" * 1000
    for place in names(file):
        place.write_text(line * 60)
    read: list[int] = []
    monkeypatch.setattr("localai.core.log_reader._read", lambda f, n: read.append(n) or f.read(n))
    assert len(_last(file, ALL, 20)) == 20
    assert sum(read) < 100_000


def test_no_log_is_an_empty_one(file: Path) -> None:
    """And so is a folder in its place; nothing is made by reading."""
    assert _last(file, ALL) == []
    assert list(file.parent.iterdir()) == []
    file.mkdir()
    assert _last(file, ALL) == []


HOSTILE = [
    b'{"at": "2026-01-01T00:00',
    b"\x1b[2Jplain \xff\xfe words",
    b'{"at": 1, "level": "info", "event": "e"}',
    b'{"level": "info", "event": "e"}',
    b"[" * 100_000,
    b'{"at": "x", "level": "info", "event": "e", "n": NaN}',
    b'{"at": "x", "level": "info", "event": "e", "n": ' + b"9" * 6000 + b"}",
    b"null",
    b"\0" * 4096,
]


@pytest.mark.parametrize("line", HOSTILE)
def test_a_line_that_is_not_ours_is_handed_on_as_it_is(file: Path, line: bytes) -> None:
    """It hides no other, and is left out where something is asked of the lines."""
    file.write_bytes(_text(1).encode() + b"\n" + line + b"\n" + _text(2).encode() + b"\n")
    first, foreign, last = _last(file, ALL)
    assert (first.entry or {})["number"] == 1
    assert foreign.entry is None
    assert (last.entry or {})["number"] == 2
    assert _numbers(_last(file, Wanted(level="info"))) == [1, 2]


def test_of_a_line_without_end_the_beginning_is_read(file: Path) -> None:
    """Memory stays bounded, and the lines around it are there."""
    file.write_bytes(_text(1).encode() + b"\nBEGIN" + b"x" * 3_000_000 + b"\n")
    _write(file, 2)
    first, endless, last = _last(file, ALL)
    assert _numbers([first, last]) == [1, 2]
    assert endless.text.startswith("BEGIN")
    assert len(endless.text) <= MOST_LINE


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(level="warning"), [3, 4]),
        (Wanted(since="2026-01-01T00:00:03.000Z"), [3, 4]),
        (Wanted(approval="abc"), [2, 4]),
        (Wanted(approval="abc", session="99"), [4]),
        (Wanted(session="abc"), []),
    ],
)
def test_only_what_is_wanted_is_found(file: Path, wanted: Wanted, found: list[int]) -> None:
    """By level and above, by time, and by ids as they begin."""
    more: dict[int, dict[str, object]] = {
        2: {"approval": "abc1"},
        3: {"level": "error"},
        4: {"approval": "abc2", "session": "9999", "level": "warning"},
    }
    file.write_text("".join(f"{_text(n, **more.get(n, {}))}\n" for n in range(1, 5)))
    assert _numbers(_last(file, wanted)) == found


def test_the_search_ends_where_nothing_is_expected_any_more(file: Path) -> None:
    """Lines of several processes stand almost in order, and the one that is late is found."""
    _write(file, 1, 300, 100, 400)
    wanted = Wanted(since=json.loads(_text(200))["at"], oldest=json.loads(_text(50))["at"])
    assert _numbers(_last(file, wanted)) == [300, 400]


def test_a_level_that_there_is_not_is_refused() -> None:
    """Not taken for one at which nothing is logged."""
    with pytest.raises(Invalid, match="level"):
        Wanted(level="loud")


class Follower:
    """A follower whose waits do what the test says, one step a wait."""

    def __init__(self, file: Path, *steps: Callable[[], object]) -> None:
        self._steps = iter(steps)
        self.tail = Tail(file, wait=self._next)
        self.before = _numbers(self.tail.last(ALL))

    def _next(self, _: float) -> None:
        next(self._steps)()

    def seen(self) -> list[Any]:
        """What was followed until the steps were over."""
        lines: list[Line] = []
        try:
            for line in self.tail.following(ALL):
                lines.append(line)  # noqa: PERF402 - it ends by an exception
        except RuntimeError:  # what a generator makes of StopIteration
            self.tail.close()
        return _numbers(lines)


def _rotate(file: Path) -> None:
    places = names(file)
    for older, newer in zip(reversed(places[1:]), reversed(places[:-1]), strict=True):
        if newer.exists():
            newer.replace(older)


def test_what_is_added_is_followed(file: Path) -> None:
    """Each line once, also one that is written in two pieces."""
    _write(file, 1)
    half = _text(3)

    def begin() -> None:
        with file.open("a") as opened:
            opened.write(half[:20])

    def end() -> None:
        with file.open("a") as opened:
            opened.write(f"{half[20:]}\n{_text(4)}\n")

    follower = Follower(file, lambda: _write(file, 2), begin, end, lambda: None)
    assert follower.before == [1]
    assert follower.seen() == [2, 3, 4]


def test_a_line_that_had_no_end_at_first_is_told_once_it_has_one(file: Path) -> None:
    """Whoever was writing it was not done."""
    file.write_text(_text(1)[:30])

    def end() -> None:
        with file.open("a") as opened:
            opened.write(f"{_text(1)[30:]}\n")

    follower = Follower(file, end, lambda: None)
    assert (follower.before, follower.seen()) == ([], [1])


def test_rotation_loses_nothing_and_repeats_nothing(file: Path) -> None:
    """Once, twice between two looks, and a line that comes into the file that was moved away."""

    def once() -> None:
        _write(file, 3)
        _rotate(file)
        _write(file, 5)

    def late() -> None:
        _write(file.with_name(f"{file.name}.1"), 4)

    def twice() -> None:
        _write(file, 6)
        _rotate(file)
        _write(file, 7)
        _rotate(file)
        _write(file, 8)

    _write(file, 1, 2)
    nothing = lambda: None  # noqa: E731
    follower = Follower(file, once, late, twice, nothing, nothing, lambda: _write(file, 9), nothing)
    assert follower.seen() == [3, 4, 5, 6, 7, 8, 9]


def test_a_log_that_is_moved_away_and_not_yet_written_anew_is_waited_for(file: Path) -> None:
    """Nothing is repeated meanwhile."""
    _write(file, 1)
    nothing = lambda: None  # noqa: E731
    steps = (lambda: _rotate(file), nothing, lambda: _write(file, 2), nothing, nothing)
    assert Follower(file, *steps).seen() == [2]


def test_a_log_that_is_emptied_is_read_from_its_beginning(file: Path) -> None:
    """As other programs rotate logs."""
    _write(file, 1, 2, 3)
    follower = Follower(file, lambda: _write(file, 4, mode="w"), lambda: None)
    assert follower.seen() == [4]


def test_a_log_that_is_removed_is_read_anew_and_the_older_ones_are_not(file: Path) -> None:
    """They were there before it."""
    _write(file.with_name(f"{file.name}.1"), 1)
    _write(file, 2)
    nothing = lambda: None  # noqa: E731
    steps = (file.unlink, nothing, lambda: _write(file, 3), nothing, nothing)
    follower = Follower(file, *steps)
    assert (follower.before, follower.seen()) == ([1, 2], [3])


def test_a_log_that_was_never_written_is_followed_once_it_is(file: Path) -> None:
    """Its folder may be missing, too."""
    place = file.parent / "logs" / file.name

    def begin() -> None:
        place.parent.mkdir()
        _write(place, 1)

    assert Follower(place, begin, lambda: None, lambda: None).seen() == [1]


def test_followed_lines_are_filtered(file: Path) -> None:
    """As those before them."""
    tail = Tail(file, wait=lambda _: _write(file, 1))
    _write(file, 0)
    tail.last(ALL)
    file.write_text(file.read_text() + f"{_text(5, level='error')}\n")
    found: Iterator[Line] = tail.following(Wanted(level="error"))
    assert (next(found).entry or {})["number"] == 5
    tail.close()


def test_a_pipe_in_the_place_of_the_log_is_not_waited_for(file: Path) -> None:
    """It would hang whoever reads."""
    os.mkfifo(file)
    assert _last(file, ALL) == []
    assert len(names(file)) == KEPT
