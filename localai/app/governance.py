"""What waits for a person, and who is told of it."""

import sys
from functools import cached_property
from typing import TYPE_CHECKING

from localai.app.base import Ground
from localai.core import settings as keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localai.approvals.gate import Gate
    from localai.approvals.records import Approval, Reply
    from localai.approvals.service import Approvals
    from localai.metrics.exposition import Exposition
    from localai.metrics.machine import Card
    from localai.metrics.service import Metrics
    from localai.notify.alerting import Alerting
    from localai.notify.announcer import Announcer
    from localai.notify.plan import Plan
    from localai.notify.service import Notify
    from localai.rbac.codes import Codes
    from localai.rbac.limits import Limits
    from localai.rbac.permissions import Actor


class Governance(Ground):
    """What waits for a person, and who is told of it."""

    @cached_property
    def approvals(self) -> "Approvals":
        """What waits for a person."""
        from localai.approvals.service import Approvals

        return Approvals(
            self.database,
            self.audit,
            self.rbac,
            self.clock,
            timeout_s=self.settings[keys.APPROVALS_TIMEOUT],
            grant_s=self.settings[keys.APPROVALS_GRANT],
            pending=self.settings[keys.APPROVALS_PENDING],
            proof=self.codes.claim if self._mode == "strict" else None,
            announce=self._announcer.announce if self._is_telling else None,
        )

    @property
    def _is_telling(self) -> bool:
        """Whether anybody is told: without channels nothing of it is loaded."""
        names = ("smtp.host", "slack.enabled", "webhook.url", "apprise.enabled", "terminal")
        is_set = any(self.settings[keys.named(f"notify.{name}")] for name in names)
        return is_set and self.settings[keys.NOTIFY_ENABLED]

    def send_in_background(self) -> None:
        """Tell people what is due for as long as this process lives, beside its work."""
        if self._is_telling:
            self.notify.drain_in_background(is_heard=sys.stderr.isatty())

    @cached_property
    def notify(self) -> "Notify":
        """What people are told."""
        from localai.notify.build import build

        stands_on = (self.settings, self.secrets, self.database, self.clock, self.directories)
        return build(
            *stands_on,
            plan=self._notify_plan,
            announcer=self._announcer,
            require=self.rbac.require,
            sweep=lambda: self.approvals.sweep(),  # noqa: PLW0108 - which itself announces
        )

    @cached_property
    def alerting(self) -> "Alerting":
        """Alerts of a monitoring system."""
        from localai.notify.alerting import Alerting

        return Alerting(self.database, self._announcer, self.rbac.require)

    @cached_property
    def metrics(self) -> "Metrics":
        """How this home stands."""
        from localai.approvals import figures as approvals
        from localai.metrics.collector import Collector
        from localai.metrics.machine import Machine
        from localai.metrics.service import Metrics
        from localai.notify import figures as notify

        collector = Collector(
            self.database,
            (
                lambda connection: approvals.readings(connection, self.clock),
                lambda connection: notify.readings(connection, self.clock),
                self.users.readings,
            ),
            (lambda connection, since: approvals.readings_since(connection, self.clock, since),),
            Machine(self.directories.data, _cards).readings,
        )
        return Metrics(collector, self.clock, self.rbac.require, self.approvals.sweep)

    @cached_property
    def exposition(self) -> "Exposition":
        """The same, as Prometheus reads it."""
        from localai.metrics.exposition import Exposition

        return Exposition(self.metrics)

    @cached_property
    def _announcer(self) -> "Announcer":
        from localai.notify.announcer import Announcer

        flags = [f"--set={key}={value}" for key, value in self._flags.items()]
        home = [f"--home={self.directories.config}"] if self.directories.is_own_home else []
        command = [sys.executable, "-m", "localai", *home, *flags, "notify", "run", "--once"]
        lock = self.directories.data / "notify.lock"
        return Announcer(self.clock, self._notify_plan, lock, command)

    @cached_property
    def _notify_plan(self) -> "Plan":
        from localai.notify.plan import plan

        return plan(self.settings, self.directories.config / "notifications.toml")

    @cached_property
    def _limits(self) -> "Limits":
        from localai.rbac.limits import Limits

        allowed = self.settings[keys.RATE_LIMITS_CALLS]
        return Limits(self.database, self.audit, self.clock, allowed)

    @cached_property
    def codes(self) -> "Codes":
        """One-time codes of the people who decide."""
        from localai.core.rate import Rate
        from localai.rbac.codes import Codes
        from localai.rbac.limits import Limits

        guesses = Limits(self.database, self.audit, self.clock, Rate(calls=5, seconds=300))
        key = lambda: self.secrets.key("totp-key")  # noqa: E731 - read when it is needed
        return Codes(self.database, self.audit, self.rbac, self.clock, key, guesses.take)

    def gate(
        self,
        actor: "Actor",
        ask: "Callable[[Approval], Reply] | None" = None,
        *,
        wait_s: float = 0,
        announce: "Callable[[Approval], None] | None" = None,
    ) -> "Gate":
        """Asks through `ask` where it is given, else waits for another terminal."""
        from localai.approvals.gate import Ask, Wait

        if ask is not None:
            return Ask(self.approvals, actor, ask)
        return Wait(self.approvals, actor, wait_s, announce)


def _cards() -> "Sequence[Card]":
    from localai.infer import hardware

    if hardware.gpu_present() is None:
        return ()
    from localai.infer import nvidia

    return nvidia.loads()
