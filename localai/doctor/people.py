"""Checks of how people are told: channels, dead letters, what waits too long."""

from localai.app import App
from localai.core.clock import rfc3339
from localai.doctor.report import Check, failed, ok, warning

_LONG_US = 600 * 1_000_000


def notify(app: App) -> Check:
    """Every channel that is set up can be used, and nothing waits or was given up."""
    found = app.notify.status(app.actor)
    app.notify.check()
    if not found.channels:
        return ok("notify", "nobody is told: no channel is set up")
    told = ", ".join(each.name for each in found.channels)
    if wrong := [each for each in found.channels if each.problem]:
        message = f"{wrong[0].name}: {wrong[0].problem}"
        return failed("notify", message, f"ai notify test --channel {wrong[0].name}")
    if found.dead:
        message = f"{found.dead} messages could not be sent, through {told}"
        return warning(
            "notify", message, "ai notify list --status dead, then: ai notify retry --all"
        )
    late = rfc3339(app.clock.now_us() - _LONG_US) or ""
    if found.oldest_waiting_at and found.oldest_waiting_at < late:
        message = f"{found.waiting} wait, the oldest since {found.oldest_waiting_at}"
        return warning("notify", message, "ai notify run")
    return ok("notify", f"{told}; nothing waits")
