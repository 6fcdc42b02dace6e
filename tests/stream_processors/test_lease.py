"""The right to write ends with the session, counted from when the heartbeat was sent."""

from __future__ import annotations

from stream_processors.lease import MARGIN_S, Lease


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
