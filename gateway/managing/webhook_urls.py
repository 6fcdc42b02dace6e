"""Which URLs a webhook endpoint may have: what every parser reads alike, and no literal address inside a network.

A name that could be a public one is taken, whatever it resolves to today: that is for the delivery to check, when it
connects. The rules for numbers as hosts are those of https://url.spec.whatwg.org/#host-parsing, the networks those of
https://www.iana.org/assignments/iana-ipv4-special-registry and .../iana-ipv6-special-registry.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

# Stricter than RFC 3986, so that no two parsers disagree on the host: no user, no backslash, no fragment, a path right
# behind the authority, and a port without zeros in front.
_URL = re.compile(r"[hH][tT][tT][pP][sS]?://(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z._-]+)(?::([1-9][0-9]{0,4}))?(/[^\\#]*)?")
_LABEL = re.compile(r"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")  # of a last label: then browsers read the host as an IPv4 address
_DOTTED = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}")
_MOST_OF_A_NAME = 253
_FIRST_FREE_PORT = 1024
_LOW_PORTS = (80, 443)

# Of RFC 6761, 6762, 7686, 8375 and 9476, ICANN's .internal and the names that it will never delegate.
_NEVER_PUBLIC = (
    "alt", "corp", "example", "home", "home.arpa", "internal", "intranet", "invalid", "lan", "local", "localdomain",
    "localhost", "mail", "onion", "private", "test",
)  # fmt: skip

_NOT_PUBLIC_V4 = {
    IPv4Network("0.0.0.0/8"): "means this host or network",
    IPv4Network("10.0.0.0/8"): "is private",
    IPv4Network("100.64.0.0/10"): "is of a carrier's own network",
    IPv4Network("127.0.0.0/8"): "is this machine itself",
    IPv4Network("168.63.129.16/32"): "is the metadata service of a cloud",
    IPv4Network("169.254.0.0/16"): "is link-local, where clouds serve their metadata",
    IPv4Network("172.16.0.0/12"): "is private",
    IPv4Network("192.0.0.0/24"): "is reserved",
    IPv4Network("192.0.2.0/24"): "is for documentation",
    IPv4Network("192.31.196.0/24"): "is reserved",
    IPv4Network("192.52.193.0/24"): "is reserved",
    IPv4Network("192.88.99.0/24"): "is reserved",
    IPv4Network("192.168.0.0/16"): "is private",
    IPv4Network("192.175.48.0/24"): "is reserved",
    IPv4Network("198.18.0.0/15"): "is for benchmarks",
    IPv4Network("198.51.100.0/24"): "is for documentation",
    IPv4Network("203.0.113.0/24"): "is for documentation",
    IPv4Network("224.0.0.0/4"): "is multicast",
    IPv4Network("240.0.0.0/4"): "is reserved",
}
_PUBLIC_V6 = IPv6Network("2000::/3")  # all that is global unicast; NAT64, mapped, link-local and the like stand outside
_NOT_PUBLIC_V6 = {
    IPv6Network("2001::/23"): "is reserved",  # Teredo, which holds an IPv4 address, is in it
    IPv6Network("2001:db8::/32"): "is for documentation",
    IPv6Network("2002::/16"): "holds an IPv4 address (6to4)",
    IPv6Network("2620:4f:8000::/48"): "is reserved",
    IPv6Network("3fff::/20"): "is for documentation",
}
_ISATAP = (0x00005EFE, 0x02005EFE)  # bits 32 to 63 from the right: an IPv4 address follows (RFC 5214)


def host_of(url: str) -> str:
    """The host of an http(s) URL as it is written. Raises ValueError, which says what is wrong with it."""
    match = _URL.fullmatch(url)
    if match is None or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(
            "must be written http(s)://host/path: ASCII, without user, backslash and fragment, a / before any ?"
        )
    host: str = match[1]
    _check_port(match[2])
    if host.startswith("["):
        IPv6Address(host[1:-1])
    elif _NUMBER.fullmatch(host.rpartition(".")[2]):
        if not _DOTTED.fullmatch(host):
            raise ValueError(f"the host {host} is a number: write an IPv4 address as four decimal numbers")
        IPv4Address(host)
    else:
        _check_name(host)
    return host


def why_not_public(host: str) -> str | None:
    """Why no receiver out on the internet has this host, which `host_of` gave; None where one may have it."""
    if host.startswith("["):
        return _why_not_public_v6(IPv6Address(host[1:-1]))
    if _DOTTED.fullmatch(host):
        address = IPv4Address(host)
        return next((f"{host} {why}" for network, why in _NOT_PUBLIC_V4.items() if address in network), None)
    name = host.lower()
    if "." not in name or any(name.endswith(f".{top}") for top in _NEVER_PUBLIC) or name in _NEVER_PUBLIC:
        return f"{host} is a name inside a network"
    return None


def _check_port(port: str | None) -> None:
    if port is None or int(port) in _LOW_PORTS:
        return
    if not _FIRST_FREE_PORT <= int(port) < 1 << 16:
        raise ValueError(f"the port {port} is none for webhooks: use 80, 443 or one of 1024 to 65535")


def _check_name(host: str) -> None:
    labels = host.split(".")
    if len(host) > _MOST_OF_A_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"the host {host[:_MOST_OF_A_NAME]} is no name: check its dots and hyphens")
    for label in labels:
        if label[:4].lower() == "xn--" and not _stays_as_it_is(label[4:].lower()):
            raise ValueError(f"the part {label} of the host is not a host name of its own: write what it means")


def _stays_as_it_is(punycode: str) -> bool:
    """Whether what it stands for is beyond ASCII and normalised: nothing makes 127.0.0.1 or localhost of it."""
    try:
        text = punycode.encode().decode("punycode")
        stays = text.isprintable() and unicodedata.normalize("NFKC", text.lower()) == text
        return stays and not text.isascii()
    except (UnicodeError, ValueError, OverflowError):
        return False


def _why_not_public_v6(address: IPv6Address) -> str | None:
    if address not in _PUBLIC_V6:
        return f"[{address}] is not an address of the public internet"
    for network, why in _NOT_PUBLIC_V6.items():
        if address in network:
            return f"[{address}] {why}"
    if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP:
        return f"[{address}] holds an IPv4 address (ISATAP)"
    return None
