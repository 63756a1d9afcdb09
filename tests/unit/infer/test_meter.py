"""What an answer took is told, however it ends and whoever takes its steps."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor

import pytest

from localai.infer.engine import Usage
from localai.infer.meter import Meter

Spent = Callable[[Usage], None]


def _usage(prompt: int, completion: int) -> Usage:
    return Usage(prompt, 0, completion, 1.0, 1.0)


def _answer(spent: Spent, steps: int) -> Generator[int]:
    """An engine's answer, whose cost is told at its end."""
    said = 0
    try:
        for said in range(1, steps + 1):
            yield said
    finally:
        spent(_usage(10, said))


@pytest.mark.parametrize(("taken", "cost"), [(3, 13), (2, 12), (1, 11)])
def test_an_answer_costs_what_was_made_of_it(taken: int, cost: int) -> None:
    """Also where it is closed midway, each step taken in another thread."""
    meter, heard, passed = Meter(), [], []
    spent = meter.beside(passed.append)
    steps = meter.metered(_answer(spent, 3), heard.append)
    threads = [ThreadPoolExecutor(1) for _ in range(4)]
    for place in range(taken):
        threads[place].submit(next, steps).result()
    threads[3].submit(lambda: next(steps, None) if taken == 3 else steps.close()).result()
    assert heard == [cost]
    assert passed == [_usage(10, taken)]
    for thread in threads:
        thread.shutdown()


def test_what_other_answers_took_is_theirs() -> None:
    """In the same thread, before and between the steps."""
    meter, heard = Meter(), []
    spent = meter.beside(lambda _: None)
    spent(_usage(500, 500))
    steps = meter.metered(_answer(spent, 2), heard.append)
    next(steps)
    spent(_usage(500, 500))
    steps.close()
    assert heard == [11]


def test_an_answer_that_never_began_took_nothing() -> None:
    """A mistake of the asker costs nothing."""

    def wrong() -> Generator[int]:
        raise KeyError
        yield 1

    meter, heard = Meter(), []
    with pytest.raises(KeyError):
        next(meter.metered(wrong(), heard.append))
    assert heard == [0]
