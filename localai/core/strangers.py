"""Who may ask a server of ours at all: told from a request's headers, before any key is looked at.

A page in a browser may send requests here under a name that it made lead here (DNS rebinding),
so a request must name an address or this machine, and none may come from a foreign page.
"""

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from localai.core.errors import Denied

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Misdirected(Denied):
    """The request was made to a name that is not this server's."""


class Strangers:
    """Tells strangers from those who mean a server that listens at `host`."""

    def __init__(self, host: str) -> None:
        self._names = {"localhost", host.lower(), socket.gethostname().lower()}

    def refuse(self, host: str, origin: str | None) -> None:
        """Raise Misdirected for a foreign name, Denied for a page of another place."""
        if not self._is_ours(_name(f"//{host}")):
            raise Misdirected("this server is not called so", hint="use its address")
        if origin is not None and _name(origin) not in {_name(f"//{host}"), *_LOOPBACK}:
            raise Denied("pages of other places may not ask here")

    def _is_ours(self, name: str) -> bool:
        """Whether a request by this name reached us by no trick: an address is no name."""
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True


def is_loopback(host: str) -> bool:
    """Tell whether only programs of this machine can reach a server there."""
    return host.lower() in _LOOPBACK


def has_key(headers: Mapping[str, str]) -> bool:
    """Tell whether anything stands where keys stand."""
    return "authorization" in headers or "x-api-key" in headers


def key_in(headers: Mapping[str, str]) -> str:
    """The API key that came with a request; Denied where there is none, or another thing."""
    keys = {headers["x-api-key"]} if "x-api-key" in headers else set()
    if "authorization" in headers:
        scheme, _, token = headers["authorization"].partition(" ")
        if scheme.lower() != "bearer":
            raise Denied("what came as authorization is no API key", hint="Bearer KEY, or no such")
        keys.add(token.strip())
    if keys <= {""}:
        raise Denied("no API key came with the request", hint="ai keys create --user NAME")
    if len(keys) > 1:
        raise Denied("two API keys came with the request", hint="leave one of them out")
    return keys.pop()


def _name(address: str) -> str:
    """The name of a machine in an address; empty where there is none."""
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""
