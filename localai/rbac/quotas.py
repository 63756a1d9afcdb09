"""How much an API key may ask for: requests a minute and tokens a day, exact whoever asks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.errors import Invalid, TooOften
from localai.core.rate import Rate
from localai.rbac.allowance import Allowance
from localai.rbac.buckets import SECOND, Bucket, Taken, give_back, look, take
from localai.rbac.permissions import Actor

_MINUTE_S: Final = 60
_DAY_S: Final = 86_400
_HINT: Final = "an admin makes a key with other limits: ai keys create --help"


@dataclass(frozen=True)
class Standing:
    """How one kind of a key's limits stands: all that is gone is back in `full_in_us`."""

    kind: str
    limit: int
    left: int
    full_in_us: int


@dataclass(frozen=True)
class Admission:
    """A request that was counted; or `refusal`, where it was one too many."""

    standings: tuple[Standing, ...] = ()
    refusal: TooOften | None = None


@dataclass
class Spending:
    """The tokens of one answer: it may take `granted`; None where nobody counts them."""

    granted: int | None = None
    spent: int = 0

    def spend(self, tokens: int) -> None:
        """Write down how many it took."""
        self.spent += tokens


class Quotas:
    """The limits of the keys of one home; `allowance` says what an actor's key is for.

    The first refusal in a row is audited, so that a flood leaves one row and not a thousand.
    """

    def __init__(
        self,
        database: Database,
        audit: Audit,
        clock: Clock,
        allowance: Callable[[Actor], Allowance],
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._allowance = allowance

    def admit(self, actor: Actor) -> Admission:
        """Count one request of the actor's key."""
        requests, tokens = self._buckets(actor)
        if requests is None and tokens is None:
            return Admission()
        standings, refusal, now = [], None, self._clock.now_us()
        with self._database.transaction() as connection:
            if requests is not None:
                taken = take(connection, requests, now)
                standings.append(_standing("requests", requests, taken))
                if taken.refused:
                    refusal = self._refusal(connection, actor, requests, taken, "requests")
            if tokens is not None:
                standings.append(_standing("tokens", tokens, look(connection, tokens, now)))
        return Admission(tuple(standings), refusal)

    @contextmanager
    def spending(
        self, actor: Actor, size: Callable[[], int], most: int | None
    ) -> Iterator[Spending]:
        """Set tokens apart for what is asked and for an answer: one at least, `most` at most.

        The `size` of what is asked is computed where it counts. No answer takes any where `most`
        is 0. TooOften where there are too few. What is set apart and not spent is there again at
        the end; what was spent beyond it is owed.
        """
        _, tokens = self._buckets(actor)
        if tokens is None:
            yield Spending()
            return
        asked = size()
        set_apart = self._set_apart(actor, tokens, asked, most)
        spending = Spending(set_apart - asked)
        try:
            yield spending
        finally:
            unused = set_apart - spending.spent
            with self._database.transaction() as connection:
                give_back(connection, tokens, self._clock.now_us(), unused)

    def _set_apart(self, actor: Actor, tokens: Bucket, asked: int, most: int | None) -> int:
        calls = tokens.rate.calls
        least = asked + (most != 0)
        if least > calls:
            message = f"this takes {least:,} tokens or more, the API key has {calls:,} a day"
            raise Invalid(message, hint="send less text")
        refusal = None
        with self._database.transaction() as connection:
            wanted = calls if most is None else asked + most
            taken = take(connection, tokens, self._clock.now_us(), least, wanted)
            if taken.refused:
                refusal = self._refusal(connection, actor, tokens, taken, "tokens")
        if refusal is not None:
            raise refusal
        return taken.amount

    def _buckets(self, actor: Actor) -> tuple[Bucket | None, Bucket | None]:
        found = self._allowance(actor)
        return (
            _bucket(actor, "requests", found.requests_per_minute, _MINUTE_S),
            _bucket(actor, "tokens", found.tokens_per_day, _DAY_S),
        )

    def _refusal(
        self, connection: sa.Connection, actor: Actor, bucket: Bucket, taken: Taken, kind: str
    ) -> TooOften:
        """What to raise when the transaction is over; audited within it."""
        if taken.refused == 1:
            details = {"limit": kind, "rate": bucket.rate.words}
            self._audit.record(
                connection,
                "key.limited",
                actor=actor.signature,
                subject=actor.key or "",
                details=details,
            )
        rate, wait_s = bucket.rate, -(-taken.wait_us // SECOND)
        span = "minute" if rate.seconds == _MINUTE_S else "day"
        message = (
            f"the API key {actor.key} has {rate.calls:,} {kind} a {span}, and they are used; "
            f"try again in {wait_s} s"
        )
        return TooOften(message, wait_s=wait_s, hint=_HINT)


def _bucket(actor: Actor, kind: str, limit: int | None, seconds: int) -> Bucket | None:
    if limit is None:
        return None
    thing = f"key {actor.key} {kind}"
    return Bucket(actor.user_id, thing, Rate(limit, seconds), may_owe=kind == "tokens")


def _standing(kind: str, bucket: Bucket, taken: Taken) -> Standing:
    return Standing(kind, bucket.rate.calls, taken.left, taken.full_in_us)
