"""The right to write ends with the session, counted from when the heartbeat was sent."""

from __future__ import annotations

import time

import pytest

from axonstream.kafka.lease import MARGIN_S, Lease
from axonstream.process.boot_clock import boot_clock
from axonstream.sinks.writing.server_clock import ServerClock


def test_a_lease_is_held_from_an_accepted_heartbeat_until_before_the_session_ends() -> None:
    now = 100.0
    lease = Lease(10, clock=lambda: now)
    assert not lease.held()
    lease.renew(99.0)
    assert lease.held()
    now = 99.0 + 10 - MARGIN_S - 0.01
    assert lease.held()
    now = 99.0 + 10 - MARGIN_S
    assert not lease.held()


def test_an_older_heartbeat_that_is_answered_late_does_not_shorten_it() -> None:
    now = 100.0
    lease = Lease(10, clock=lambda: now)
    lease.renew(99.0)
    lease.renew(95.0)
    now = 105.0
    assert lease.held()


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="macOS counts sleep in CLOCK_MONOTONIC")
def test_a_lease_ends_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile CLOCK_MONOTONIC stands still and CLOCK_BOOTTIME goes on."""
    clocks = dict.fromkeys((time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC), 100.0)
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
    monkeypatch.setattr(time, "monotonic", lambda: clocks[time.CLOCK_MONOTONIC])
    lease = Lease(10)
    lease.renew(boot_clock())
    server = ServerClock(server_ms=0, answered_at=boot_clock())
    assert lease.held()
    clocks[time.CLOCK_BOOTTIME] += 3600
    assert not lease.held()
    assert server.earliest_ms(boot_clock()) == 3_600_000
