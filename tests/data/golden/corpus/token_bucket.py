"""Limit how often callers may do something."""

import threading
import time


class TokenBucket:
    """Lets `capacity` calls through at once and `refillRate` more each second."""

    def __init__(self, capacity: int, refillRate: float) -> None:
        self.capacity = capacity
        self.refillRate = refillRate
        self.lastRefill = time.monotonic()
        self.available = float(capacity)
        self._guard = threading.Lock()

    def tryAcquire(self, count: int = 1) -> bool:
        """Take `count` permits if that many are left; never waits."""
        with self._guard:
            self._topUp()
            if self.available < count:
                return False
            self.available -= count
            return True

    def _topUp(self) -> None:
        now = time.monotonic()
        earned = (now - self.lastRefill) * self.refillRate
        self.available = min(self.capacity, self.available + earned)
        self.lastRefill = now
