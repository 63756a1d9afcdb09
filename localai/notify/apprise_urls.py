"""Any of the services that Apprise knows; the one file that imports it.

Its URLs hold passwords, so they are a secret. Apprise has no time limit for all of a sending: it
works in a thread of its own, which is left behind if it takes too long.
"""

import logging
import queue
from collections.abc import Callable
from threading import Thread
from typing import Any, Final

import apprise

from localai.core.errors import Invalid
from localai.core.escape import visible
from localai.core.redact import redact, remember
from localai.notify.records import Failure, Message

_LONGEST_S: Final = 60.0
_MOST_SAID: Final = 300
_SET: Final = "ai secrets set apprise-urls"


class Apprise:
    """Sends to every URL of the secret, which are apart by spaces or commas."""

    gathers = True

    def __init__(self, urls: Callable[[], str], longest_s: float = _LONGEST_S) -> None:
        self._urls = urls
        self._longest_s = longest_s

    def send(self, message: Message) -> str:
        """Send it; what Apprise says about a service that did not take it is the Failure."""
        told: queue.SimpleQueue[tuple[bool, str]] = queue.SimpleQueue()
        service = self._service()
        Thread(target=lambda: told.put(_notified(service, message)), daemon=True).start()
        try:
            is_taken, said = told.get(timeout=self._longest_s)
        except queue.Empty as error:
            message_text = f"Apprise did not end within {self._longest_s:g} seconds"
            raise Failure(message_text, is_uncertain=True) from error
        if not is_taken:
            raise Failure(f"Apprise: {said}", is_uncertain=True)
        return f"taken by {len(service)}"

    def draft(self, message: Message) -> str:
        """Title and text that would be sent."""
        return f"{message.subject}\n\n{message.text}"

    def _service(self) -> apprise.Apprise:
        service = apprise.Apprise()
        logging.getLogger("apprise").propagate = False
        for url in self._urls().replace(",", " ").split():
            remember(url)
            if not service.add(url):
                raise Invalid("one of apprise-urls is no URL that Apprise knows", hint=_SET)
        if not len(service):
            raise Invalid("the secret apprise-urls holds no URL", hint=_SET)
        return service


def _notified(service: apprise.Apprise, message: Message) -> tuple[bool, str]:
    # Whatever a service's plugin raises, it has not taken the message.
    capture: Any = apprise.LogCapture
    with capture(level=logging.WARNING, fmt="%(message)s") as said:
        try:
            body, plain = message.text, apprise.NotifyFormat.TEXT
            is_taken = bool(service.notify(body, message.subject, body_format=plain))
        except Exception as error:  # noqa: BLE001
            return False, type(error).__name__
        return is_taken, visible(redact(said.getvalue().strip())[:_MOST_SAID])
