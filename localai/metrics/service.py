"""How this home stands, for whoever may read the audit: figures tell what everybody here does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from localai.core.clock import Clock, rfc3339
from localai.core.counters import HOUR_US
from localai.metrics import overview
from localai.metrics.collector import Collector
from localai.metrics.objectives import WINDOW_DAYS
from localai.metrics.overview import Overview
from localai.metrics.proof import Proof, prove
from localai.rbac.permissions import Actor

READ: Final = "audit:read"


@dataclass(frozen=True)
class Metrics:
    """The figures of this home; `sweep` writes down what the clock says is over."""

    collector: Collector
    clock: Clock
    require: Callable[[Actor, str], None]
    sweep: Callable[[], object]

    def watch(self, actor: Actor) -> Callable[[], Overview]:
        """What tells how this home stands, as often as it is asked."""
        self.require(actor, READ)  # once: looking again and again must not count among the checks
        return self._overview

    def _overview(self) -> Overview:
        at_us = self.clock.now_us()
        # Lately is since the hour before this one began.
        hour_us = at_us // HOUR_US * HOUR_US
        lately_us, window_us = hour_us - HOUR_US, hour_us - WINDOW_DAYS * 24 * HOUR_US
        lately = self.collector.read_since(lately_us)
        window = self.collector.read_since(window_us)
        return Overview(
            at=rfc3339(at_us) or "",
            lately_since=rfc3339(lately_us) or "",
            window_since=rfc3339(window_us) or "",
            objectives=overview.objectives(lately, window),
            now=overview.now(self.collector.read()),
            lately=overview.figures(lately),
            window=overview.figures(window),
        )

    def prove(self, actor: Actor) -> Proof:
        """Whether what was counted is what the audit holds, all that is over written down first."""
        self.require(actor, READ)
        self.sweep()
        with self.collector.database.read() as connection:
            return prove(connection, self.collector.stored(connection))
