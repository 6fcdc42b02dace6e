"""Addresses that only programs of the same machine can reach."""

from __future__ import annotations

from ipaddress import ip_address

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")  # as a Host header or a URL writes them


def is_loopback(host: str) -> bool:
    """Whether `host`, without a port, is a loopback address or `localhost` (RFC 6761). No other name is looked up."""
    host = host.strip()
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def all_loopback(servers: str) -> bool:
    """Whether every one of `host:port,host:port` is a loopback address; False where there is none."""
    return all(is_loopback(server.strip().rpartition(":")[0] or server) for server in servers.split(","))
