"""One at a time, in order, closed however it ends."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from functools import partial

import anyio
import anyio.to_thread
import pytest
from anyio.from_thread import check_cancelled

from localai.api.desk import Desk, while_here
from localai.api.errors import Busy
from localai.core.asgi import Message


def steps(closed: list[str], name: str = "it") -> Generator[int]:
    try:
        yield from range(3)
    finally:
        closed.append(name)


def test_steps_come_in_order_and_work_is_closed() -> None:
    """Also where nobody takes all of them, or something breaks."""
    closed: list[str] = []

    async def all_of_them() -> list[int]:
        async with Desk().steps(steps(closed)) as step:
            return [found async for found in _each(step)]

    async def breaks() -> None:
        async with Desk().steps(steps(closed, "broken")) as step:
            await step()
            raise ValueError

    assert anyio.run(all_of_them) == [0, 1, 2]
    with pytest.raises(ValueError):  # noqa: PT011 - it is ours
        anyio.run(breaks)
    assert closed == ["it", "broken"]


async def _each(step: Callable[[], Awaitable[int | None]]) -> AsyncIterator[int]:
    while (found := await step()) is not None:
        yield found


def test_the_line_is_short_and_in_order() -> None:
    """Who finds it full is told so; the others have their turn as they came."""

    async def main() -> list[str]:
        desk, told = Desk(most=2), []
        hold = anyio.Event()

        async def asks(name: str) -> None:
            try:
                async with desk.steps(steps([], name)) as step:
                    await step()
                    told.append(name)
                    await hold.wait()
            except Busy:
                told.append(f"{name} busy")

        async with anyio.create_task_group() as tasks:
            for name in "abcd":
                tasks.start_soon(asks, name)
                await anyio.wait_all_tasks_blocked()
            hold.set()
        return told

    found = anyio.run(main)
    assert sorted(found) == ["a", "b", "c", "d busy"]
    assert [name for name in found if name in "abc"] == ["a", "b", "c"]


def test_work_ends_where_the_client_leaves() -> None:
    """And is closed before the next one begins."""
    closed: list[str] = []

    async def main() -> None:
        desk = Desk()
        gone = anyio.Event()

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def work() -> None:
            async with desk.steps(steps(closed)) as step:
                await step()
                gone.set()
                await anyio.sleep_forever()

        await while_here(receive, work)
        assert closed == ["it"]
        assert await desk.do(lambda: 5) == 5

    anyio.run(main)


def test_what_is_raised_is_raised_as_it_is() -> None:
    """Whoever tells errors knows no groups of them."""

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def work() -> None:
        raise Busy

    with pytest.raises(Busy):
        anyio.run(while_here, receive, work)


def test_several_may_be_served_at_once() -> None:
    """As many as the desk has places, each in a thread, and the next when one of them is done."""
    both = threading.Barrier(2)

    async def main() -> None:
        desk = Desk(most=1, at_once=2)
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(desk.do, both.wait)
        assert await desk.do(lambda: 5) == 5

    anyio.run(main)


def test_who_has_no_patience_is_told_to_come_again() -> None:
    """And gives the place in line back; whoever is served is not disturbed."""
    done = threading.Event()

    async def main() -> None:
        desk = Desk(most=1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.do, done.wait)
            await anyio.wait_all_tasks_blocked()
            for _ in range(3):
                with pytest.raises(Busy):
                    await desk.do(lambda: 5, patience_s=0.01)
            done.set()
        assert await desk.do(lambda: 5, patience_s=30) == 5

    anyio.run(main)


def test_work_that_looks_whether_it_is_wanted_ends_where_the_client_leaves() -> None:
    """The next in line has its turn then."""
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        try:
            while True:
                begun.set()
                check_cancelled()
        finally:
            ended.set()

    async def main() -> None:
        desk = Desk()

        async def receive() -> Message:
            await anyio.to_thread.run_sync(begun.wait)
            return {"type": "http.disconnect"}

        await while_here(receive, partial(desk.do, work))
        assert ended.is_set()
        assert await desk.do(lambda: 5) == 5

    anyio.run(main)
