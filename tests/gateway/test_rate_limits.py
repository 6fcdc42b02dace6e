"""Rate limits: how many requests pass, who is told to wait and for how long, and that they are off by default."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.gateway.access.rate_limits import RateLimits
from axonstream.gateway.control.credentials import Credential
from axonstream.gateway.http.errors import RateLimitedError
from kit.offline_gateway import OfflineGateway

EVENT: dict[str, Any] = {"identifier": "step", "payload": {}, "channel_id": 1}
OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}
SLOW = 0.001  # a second: nothing is refilled while a test runs


def passes(limits: RateLimits, credential: Credential) -> bool:
    try:
        limits.take(credential)
    except RateLimitedError:
        return False
    return True


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.floats(0.5, 20), st.floats(0.1, 5))
def test_in_any_span_no_more_pass_than_the_burst_and_what_was_refilled(
    waits: list[float], per_s: float, burst_s: float
) -> None:
    now = [0.0]
    limits, credential = RateLimits(per_s, 0, burst_s, lambda: now[0]), Credential("1", {})
    passed: list[float] = []
    for wait in waits:
        now[0] += wait
        if passes(limits, credential):
            passed.append(now[0])
    most = max(1.0, per_s * burst_s)
    for first, start in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= most + per_s * (passed[last] - start) + 1e-6


@given(st.floats(0.05, 20), st.floats(0.1, 5), st.integers(0, 50))
def test_who_waits_as_long_as_told_passes(per_s: float, burst_s: float, more: int) -> None:
    now = [0.0]
    limits, credential = RateLimits(0, per_s, burst_s, lambda: now[0]), Credential("1", {})
    while passes(limits, credential):
        pass
    limits.take_more(credential, more)
    with pytest.raises(RateLimitedError) as refused:
        limits.take(credential)
    now[0] += refused.value.retry_after_s + 1e-6
    assert passes(limits, credential)


def test_a_key_over_its_limit_is_429_and_another_is_not() -> None:
    limited = OfflineGateway(rate_limit_key_per_s=SLOW, rate_limit_burst_s=3 / SLOW)
    statuses = [limited.send("POST", "/event", json=EVENT).status_code for _ in range(4)]
    assert statuses == [201, 201, 201, 429]
    refused = limited.send("GET", "/apps")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.headers["Retry-After"].isdecimal()
    assert int(refused.headers["Retry-After"]) >= 1
    assert limited.send("POST", "/event", headers=OTHER, json=EVENT).status_code == 201
    assert len(limited.log.records) == 4


def test_the_keys_of_a_tenant_share_its_limit() -> None:
    limited = OfflineGateway(rate_limit_tenant_per_s=SLOW, rate_limit_burst_s=2 / SLOW)
    for headers in ({"x-axonpush-api-key": "ak_local"}, {"X-API-Key": "ak_local", "x-tenant-id": "1"}):
        assert limited.send("POST", "/event", headers=headers, json=EVENT).status_code in (200, 201)
    assert limited.send("GET", "/apps").status_code == 429
    assert limited.send("GET", "/apps", headers=OTHER).status_code == 200


def test_a_bulk_request_counts_its_events_and_is_taken_whole() -> None:
    limited = OfflineGateway(rate_limit_key_per_s=SLOW, rate_limit_burst_s=3 / SLOW)
    assert limited.send("POST", "/events", json=[EVENT] * 10).json()["accepted"] == 10
    refused = limited.send("POST", "/event", json=EVENT)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 7 / SLOW


def test_a_wrong_key_is_401_whatever_the_limit_and_takes_nothing() -> None:
    limited = OfflineGateway(rate_limit_key_per_s=SLOW, rate_limit_burst_s=1 / SLOW)
    for _ in range(3):
        assert limited.send("GET", "/apps", headers=OTHER | {"X-API-Key": "ak_wrong"}).status_code == 401
    assert limited.send("GET", "/apps", headers=OTHER).status_code == 200


def test_by_default_nothing_is_limited(offline: OfflineGateway) -> None:
    assert {offline.send("POST", "/event", json=EVENT).status_code for _ in range(50)} == {201}
