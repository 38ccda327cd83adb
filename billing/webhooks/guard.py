"""Where webhooks may go: public addresses over HTTPS, so that none reaches into our own network."""

import socket
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from plans.errors import OperationError

_NAT64: Final = ip_network("64:ff9b::/96")
_PORTS: Final = {"https": 443, "http": 80}

Address = IPv4Address | IPv6Address


class AddressRefused(OperationError):
    """A webhook may not be sent to the address."""

    code = "address_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is allowed beyond public HTTPS: plain HTTP, and hosts of ours that may be private."""

    allows_http: bool
    private_hosts: Collection[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address that was looked up once: what is connected to is what was judged."""

    address: str
    host: str
    host_header: str
    url: str


def check_url(url: str, *, rules: Rules) -> None:
    """Refuse an address by how it is written, without looking it up. Raises AddressRefused."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused("The address cannot be read. Write https://host/path.", field="url") \
            from error  # fmt: skip
    host = parts.hostname or ""
    is_ours = host in rules.private_hosts
    if parts.scheme != "https" and not (parts.scheme == "http" and (rules.allows_http or is_ours)):
        raise AddressRefused("Webhooks go over HTTPS only. Write https://host/path.", field="url")
    if not host or parts.username is not None or parts.password is not None or port == 0:
        raise AddressRefused(
            "Write the address as https://host/path, without a user name or password.", field="url"
        )
    literal = _literal(host)
    if literal is not None and not is_ours and not is_public(literal):
        raise _private(host)


def resolve(url: str, *, rules: Rules) -> Target:
    """Look an address up, and refuse it where any of its IP addresses is not public.

    Raises AddressRefused, and OSError where the name is not known.
    """
    check_url(url, rules=rules)
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or _PORTS[parts.scheme]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = sorted({ip_address(str(row[4][0]).partition("%")[0]) for row in found}, key=_order)
    if host not in rules.private_hosts and not all(map(is_public, addresses)):
        raise _private(host)
    address = addresses[0]
    literal = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    return Target(
        address=str(address),
        host=host,
        host_header=parts.netloc,
        url=urlunsplit((parts.scheme, f"{literal}:{port}", parts.path or "/", parts.query, "")),
    )


def is_public(address: Address) -> bool:
    """Say whether an address lies in the public internet, also by what it maps to."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def _order(address: Address) -> tuple[int, int]:
    """Take IPv4 first: not every network of ours speaks IPv6."""
    return address.version, int(address)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _private(host: str) -> AddressRefused:
    return AddressRefused(
        f"“{host}” is no public address, and webhooks do not go into private networks. Use a "
        "public host, or let the operator name it in WEBHOOK_PRIVATE_HOSTS.",
        field="url",
    )
