"""When a message that was not taken is tried again; pure.

Three quick tries, waiting 2 and 4 seconds as operators expect, because most troubles are over by
then. After that full jitter (any wait up to a bound that doubles), so that many homes do not call
on a server that comes back all at once, from 2 seconds to 15 minutes. After a day it is given up.
"""

from collections.abc import Callable
from typing import Final

QUICK_TRIES: Final = 3
GIVES_UP_S: Final = 24 * 3600
_SHORTEST_S, _QUICKEST_MOST_S, _LONGEST_S = 2.0, 10.0, 900.0
_DOUBLINGS: Final = 10  # further ones are above the longest wait in any case


def wait_s(tries: int, uniform: Callable[[float, float], float]) -> float:
    """Seconds until the next try after so many; `uniform` draws between two numbers."""
    bound = _SHORTEST_S * float(1 << min(tries - 1, _DOUBLINGS))
    if tries < QUICK_TRIES:
        return min(bound, _QUICKEST_MOST_S)
    return uniform(_SHORTEST_S, min(bound, _LONGEST_S))


def next_us(now_us: int, first_us: int, waiting_s: float) -> int | None:
    """The moment of the next try of what was tried first at `first_us`; None once its day is over.

    The last try is at the end of the day.
    """
    end_us = first_us + GIVES_UP_S * 1_000_000
    return min(now_us + int(waiting_s * 1_000_000), end_us) if now_us < end_us else None
