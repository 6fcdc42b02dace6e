"""I8: the right to write, which a group member holds for a session timeout after each heartbeat that was accepted.

A worker that was stopped for longer (SIGSTOP, a sleeping machine, a network cut) has a successor. What it still holds
queued must not reach Kafka: it would overwrite the successor's newer states. A pause between the check and the
socket write is not covered.
"""

from __future__ import annotations

from collections.abc import Callable

from axonstream.process.boot_clock import boot_clock

MARGIN_S = 0.5


class Lease:
    """Starts without the right to write. Thread-safe: renewed by the consumer's thread, read by the producer."""

    def __init__(self, session_timeout_s: float, clock: Callable[[], float] = boot_clock) -> None:
        self.length_s = session_timeout_s - MARGIN_S
        self._clock = clock
        self._ends_at = float("-inf")

    def renew(self, heartbeat_sent_at: float) -> None:
        """The heartbeat sent then (not: answered) was accepted, so the broker's timer restarted no earlier.

        `heartbeat_sent_at` is in s, by the clock of the lease.
        """
        self._ends_at = max(self._ends_at, heartbeat_sent_at + self.length_s)

    @property
    def ends_at(self) -> float:
        """By the lease's clock, in s; it moves on with each accepted heartbeat."""
        return self._ends_at

    def held(self) -> bool:
        return self._clock() < self._ends_at
