"""What can be told, of what risk, and through which channels: the names."""

from typing import Final

EVENTS: Final = ("requested", "approved", "rejected", "timeout", "escalated")
CHANNELS: Final = ("mail", "slack", "webhook", "terminal", "apprise")
RISKS: Final = ("low", "medium", "high", "critical")
DIGEST: Final = "digest"
