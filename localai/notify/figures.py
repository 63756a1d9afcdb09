"""What there is to tell of notices that were not sent yet, as metrics."""

from collections.abc import Iterator

import sqlalchemy as sa

from localai.core import metrics
from localai.core.clock import Clock
from localai.core.metrics import Reading
from localai.notify.rows import OVERDUE


def readings(connection: sa.Connection, clock: Clock) -> Iterator[Reading]:
    """How many are due; those that wait for a better moment are not."""
    waiting = connection.scalar(OVERDUE, {"now": clock.now_us()})
    yield Reading(metrics.NOTIFICATIONS_WAITING, waiting or 0)
