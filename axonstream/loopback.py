"""Addresses that only programs of the same machine can reach."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether `host`, without a port, is a loopback address or `localhost` (RFC 6761). No other name is looked up."""
    host = host.strip()
    if host.lower().removesuffix(".") == "localhost":
        return True
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
