"""Posts to a server that the operator named, and reads from the answer whether it was taken."""

import ipaddress
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from localai.core.address import address
from localai.core.errors import Denied, Invalid, Unavailable
from localai.core.escape import visible
from localai.core.web import Answered, Unanswered, Web
from localai.notify.records import Failure

MOST_SAID: Final = 300
_LONGEST_S: Final = 30.0
_MOST_BYTES: Final = 65_536
_AGAIN: Final = frozenset({408, 425, 429})


class Post:
    """Posts within `longest_s` seconds; `tls` is whom to believe, else the system's list."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, longest_s: float = _LONGEST_S) -> None:
        self._web = Web(
            is_allowed=lambda _: True, most_bytes=_MOST_BYTES, longest_s=longest_s, tls=tls
        )

    def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        """The answer of a server that took it; Failure tells of any other."""
        try:
            answer = self._web.post(url, body, headers)
        except Unanswered as error:
            raise Failure(error.message, is_uncertain=True) from error
        except (Unavailable, Invalid, Denied) as error:
            raise Failure(error.message, hint=error.hint) from error
        if 200 <= answer.status < 300:  # noqa: PLR2004 - as HTTP has it
            return answer
        raise refused(answer)


def refused(answer: Answered) -> Failure:
    """Why the server did not take it: for good, unless it is busy or broken."""
    is_passing = answer.status in _AGAIN or answer.status >= 500  # noqa: PLR2004 - as HTTP has it
    return Failure(
        f"the server answered {answer.status}: {said(answer)}",
        is_permanent=not is_passing,
        retry_after_s=retry_after_s(answer.headers.get("retry-after", "")),
    )


def said(answer: Answered) -> str:
    """The beginning of what the server said."""
    return visible(answer.data[:MOST_SAID].decode("utf-8", "replace").strip()) or "nothing"


def retry_after_s(text: str) -> float | None:
    """The seconds of a Retry-After header: a number or a date; a day is the most."""
    try:
        asked = float(text) if text.strip().isdecimal() else _until(text)
    except (ValueError, OverflowError):
        return None
    return min(max(asked, 0.0), 86_400.0)


def _until(text: str) -> float:
    moment = parsedate_to_datetime(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()


def require_private(url: str, what: str) -> None:
    """Invalid unless nobody on the way can read what goes there."""
    at = address(url)
    if at.scheme != "https" and not is_loopback(at.host):
        raise Invalid(f"{what} begins with http://: others on the way could read it", hint=_HTTPS)


def is_loopback(host: str) -> bool:
    """Whether the host is this machine by name or number."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


_HTTPS = "use an address that begins with https://"
