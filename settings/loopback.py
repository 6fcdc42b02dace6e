"""Addresses that only programs of the same machine can reach."""

from __future__ import annotations

from axonstream.loopback import is_loopback

__all__ = ["LOOPBACK_NAMES", "all_loopback", "is_loopback"]

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")  # as a Host header or a URL writes them


def all_loopback(servers: str) -> bool:
    """Whether every one of `host:port,host:port` is a loopback address; False where there is none."""
    return all(is_loopback(server.strip().rpartition(":")[0] or server) for server in servers.split(","))
