"""Addresses of the web: how one is read, and which machines may be asked; pure.

A host may be spelled so that a person reads another one, or none at all: numbers in other bases,
names in other scripts, a user's name in front. There is one spelling here, and the rest is Invalid.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from localai.core.errors import Invalid

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS: Final = {"http": 80, "https": 443}
_LONGEST: Final = 4000
_HINT: Final = "an address looks like https://example.org/page"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f\\]")
_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_SAFE: Final = "/%:@!$&'()*+,;=~[]|?"

# What the registries of IANA call global and what still leads elsewhere.
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NOT_PUBLIC: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "100.64.0.0/10",  # a carrier's own network
            "192.0.0.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "2001::/23",  # Teredo and other tunnels
            "2001:db8::/32",
            "3fff::/20",
        ),
    )
)


@dataclass(frozen=True)
class Address:
    """An http or https address, in one spelling; `target` is its path and query."""

    scheme: str
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.target}"

    def joined(self, location: str) -> "Address":
        """Where a link leads that is found at this address."""
        try:
            return address(urljoin(str(self), location))
        except ValueError as error:
            raise Invalid("a link leads to no address", hint=_HINT) from error


def is_address(text: str) -> bool:
    """Whether the text means an address of some scheme, and not a file."""
    return _SCHEME.match(text) is not None


def address(text: str) -> Address:
    """The address that the text spells; Invalid where it is none that may be fetched."""
    if _FORBIDDEN.search(text) or len(text) > _LONGEST:
        raise Invalid("this is no address of the web", hint=_HINT)
    try:
        parts = urlsplit(text)
        scheme, port = parts.scheme.lower(), parts.port
        target = quote(parts.path or "/", safe=_SAFE)
        target += f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
        host = _host(parts.hostname or "")
    except ValueError as error:
        raise Invalid("this is no address of the web", hint=_HINT) from error
    if scheme not in _PORTS:
        raise Invalid(f"{scheme}: is neither http nor https", hint=_HINT)
    if "@" in parts.netloc:
        message = "an address with a user's name or password in it is not fetched"
        raise Invalid(message, hint="save the page, then index the file")
    if port == 0:
        raise Invalid("there is no port 0", hint=_HINT)
    return Address(scheme, host, port or _PORTS[scheme], target)


def is_public(ip: Ip) -> bool:
    """Whether the machine is one of the public internet, and not of this house."""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return is_public(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if ip.sixtofour is not None and not is_public(ip.sixtofour):
            return False
        if ip not in _GLOBAL_V6 or ip.scope_id is not None:  # mapped IPv4 included
            return False
    is_special = ip.is_multicast or ip.is_reserved or ip.is_private or ip.is_unspecified
    return not is_special and not any(ip in each for each in _NOT_PUBLIC)


def _host(text: str) -> str:
    """The host in lower case and ASCII; ValueError where it is no name and no plain number."""
    if ":" in text:
        ip = ipaddress.IPv6Address(text)
        if ip.scope_id is not None:
            raise ValueError("a network card is named in it")
        return str(ip)
    host = _ascii(text).lower().removesuffix(".")
    if not _NAME.fullmatch(host):
        raise ValueError("the host is no name")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        return str(ipaddress.IPv4Address(host))
    return host


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    import idna  # noqa: PLC0415 - tables that most addresses do not need

    return idna.encode(host, uts46=True).decode()
