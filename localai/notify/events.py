"""What can be told, of what risk, and through which channels: the names."""

from typing import Final

EVENTS: Final = ("requested", "approved", "rejected", "timeout", "escalated", "alert")
CHANNELS: Final = ("mail", "slack", "webhook", "terminal", "apprise")
RISKS: Final = ("low", "medium", "high", "critical")
ALERT: Final = "alert"
DIGEST: Final = "digest"
