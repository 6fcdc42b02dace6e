"""Ports on loopback."""

from __future__ import annotations

import socket


def is_free(port: int) -> bool:
    """Whether this port can be bound on loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(wanted: int = 0) -> int:
    """`wanted` where it is free, any free one otherwise. Not reserved: somebody may take it before it is bound."""
    if wanted and is_free(wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
