"""The connections of one gateway: how many there may be, and how long one may hold its place without a request.

A connection either has a request that is being answered, or one of two clocks runs:

    head   10 s: until a request's head is complete; until the rest of a body has come whose request is answered;
                 a TLS handshake before it has as long (`tls_handshake.py`)
    idle   75 s: between an answer and the first byte of the next request, or until the last answer is taken

Each clock is a dict in the order of its beginnings, so that one look a second at the oldest entries ends what is due.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from ipaddress import IPv6Address, ip_address
from itertools import islice
from typing import Protocol

HEAD_S = 10.0
KEEP_ALIVE_S = 75.0
_LOOK_S = 1.0
_LONG_FOR_A_HEAD_S = 1.0  # whose head has taken so long makes room, where there is none
_MOST_LOOKED_AT = 100
_NETWORK_OF_A_HOST = 64  # bits: whoever has one IPv6 address has all of its /64 (RFC 6177)


class Waiting(Protocol):
    """What is needed of a connection."""

    @property
    def answering(self) -> bool:
        """Whether a request is being answered: then no clock ends the connection."""
        ...

    def end(self, *, late_head: bool) -> None:
        """Close it now; `late_head` after HEAD_S."""
        ...


class Connections:
    """At most `most` connections, `of_an_address` of them from one address that is not loopback (IPv6: one /64)."""

    def __init__(self, most: int, of_an_address: int) -> None:
        self.most = most
        self.open = 0
        self.refused: dict[str, int] = {"total": 0, "address": 0}  # by the limit that was reached
        self.late_heads = 0
        self._of_an_address = of_an_address
        self._by_address: defaultdict[str, int] = defaultdict(int)
        self._heads: dict[Waiting, float] = {}
        self.idle: dict[Waiting, float] = {}
        self._next_look: asyncio.TimerHandle | None = None

    def take(self, address: str | None) -> str | None:
        """A place for a connection from `address`, which `leave` gives back: the name that it is counted by.

        None: there is no place. When all are taken, the connection that has been idle longest makes room, or else the
        one that has waited longest for its head: who connects and says nothing keeps nobody out.
        """
        counted = _counted(address)
        if self._by_address[counted] >= self._of_an_address and counted:
            self.refused["address"] += 1
            return None
        if self.open >= self.most and not self._make_room():
            self._forget_unused(counted)
            self.refused["total"] += 1
            return None
        self.open += 1
        self._by_address[counted] += 1
        return counted

    def leave(self, connection: Waiting, counted: str) -> None:
        """The connection is closed."""
        self.forget(connection)
        self.open -= 1
        self._by_address[counted] -= 1
        self._forget_unused(counted)

    def await_head(self, connection: Waiting) -> None:
        """The head's clock runs from now, unless it runs already."""
        self.idle.pop(connection, None)
        self._heads.setdefault(connection, self._now())

    def be_idle(self, connection: Waiting) -> None:
        """The idle clock runs from now."""
        self._heads.pop(connection, None)
        self.idle.pop(connection, None)
        self.idle[connection] = self._now()

    def forget(self, connection: Waiting) -> None:
        """No clock runs."""
        self._heads.pop(connection, None)
        self.idle.pop(connection, None)

    def _now(self) -> float:
        loop = asyncio.get_running_loop()
        if self._next_look is None:
            self._next_look = loop.call_later(_LOOK_S, self._look)
        return loop.time()

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        self._next_look = None
        for late in _begun_before(now - HEAD_S, self._heads):
            del self._heads[late]
            if not late.answering:  # of a request that came behind one that is being answered, the clock begins later
                self.late_heads += 1
                late.end(late_head=True)
        for late in _begun_before(now - KEEP_ALIVE_S, self.idle):
            del self.idle[late]
            late.end(late_head=False)
        if self._heads or self.idle:
            self._now()

    def _make_room(self) -> bool:
        for connection in self.idle:
            del self.idle[connection]
            connection.end(late_head=False)
            return True
        before = asyncio.get_running_loop().time() - _LONG_FOR_A_HEAD_S
        for connection, began in islice(self._heads.items(), _MOST_LOOKED_AT):
            if began > before:
                break
            if not connection.answering:
                del self._heads[connection]
                self.late_heads += 1
                connection.end(late_head=True)
                return True
        return False

    def _forget_unused(self, counted: str) -> None:
        if not self._by_address[counted]:
            del self._by_address[counted]


def _begun_before(time: float, clock: dict[Waiting, float]) -> list[Waiting]:
    late: list[Waiting] = []
    for connection, began in clock.items():
        if began > time:
            break
        late.append(connection)
    return late


def _counted(address: str | None) -> str:
    """What connections of one sender have in common; "" where they may come from anybody: a socket file, loopback."""
    if address is None:
        return ""
    try:
        ip = ip_address(address)
    except ValueError:
        return ""
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif not ip.is_loopback:
            return str(int(ip) >> 128 - _NETWORK_OF_A_HOST)
    return "" if ip.is_loopback else str(ip)
