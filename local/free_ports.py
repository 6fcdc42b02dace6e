"""Ports on loopback."""

from __future__ import annotations

import random
import socket

import psutil

from axonstream.local.errors import PartFailedError

# Below the range that systems take the local ports of outgoing connections from (Linux: 32768 and up): a port of that
# range can be gone between the choice and the bind, some seconds later.
_CHOICE = range(20_000, 32_000)
_TRIES = 200


def is_free(port: int) -> bool:
    """Whether this port can be bound on loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def listens_on(pid: int, port: int) -> bool:
    """Whether this process itself listens on the port; False when it has ended."""
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port for one in connections)


def free_port(wanted: int = 0) -> int:
    """`wanted` where it is free, a random free one otherwise. Not reserved: somebody may take it before it is bound."""
    if wanted and is_free(wanted):
        return wanted
    for port in random.sample(_CHOICE, _TRIES):
        if is_free(port):
            return port
    raise PartFailedError(f"no free port was found on loopback between {_CHOICE.start} and {_CHOICE.stop}")
