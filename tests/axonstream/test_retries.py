"""When the clients ask again, how long they wait, and when they give up. Each test runs on both clients."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import EVENT, Ask, Clock, MakeAsk, Server

from axonstream import APIConnectionError, APITimeoutError, AxonStreamError, RateLimitError, ServerError
from axonstream.answers import Answer
from axonstream.retries import LONGEST_WAIT_SECONDS, TOTAL_SECONDS, Retries, RetryPolicy

LOST = httpx.RemoteProtocolError("Server disconnected without sending a response.")
DONE = httpx.Response(201, json=EVENT)


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(408, text="<html>Request Timeout</html>"),
        httpx.Response(425),
        httpx.Response(429),
        httpx.Response(500),
        httpx.Response(502),
        httpx.Response(503),
        httpx.Response(504),
        LOST,
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
    ],
    ids=str,
)
def test_a_passing_failure_is_retried_with_the_same_dedup_key(
    ask: Ask, server: Server, failure: httpx.Response | Exception
):
    server.script = [failure, failure, DONE]
    assert ask(lambda client: client.events.publish("a", {}, 1)).event_id == 7
    assert len(server.requests) == 3
    assert len({body["dedupKey"] for body in server.bodies}) == 1


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 413, 418, 422])
def test_a_final_answer_is_not_retried(ask: Ask, server: Server, clock: Clock, status: int):
    server.script = [httpx.Response(status)]
    with pytest.raises(AxonStreamError) as caught:
        ask(lambda client: client.traces.list())
    assert (len(server.requests), clock.sleeps, caught.value.attempts) == (1, [], 1)


def test_the_waits_double_up_to_a_bound(make_ask: MakeAsk, server: Server, clock: Clock):
    server.script = [httpx.Response(503)]
    with pytest.raises(ServerError) as caught:
        make_ask(max_retries=7)(lambda client: client.traces.list())
    assert clock.sleeps == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert caught.value.attempts == len(server.requests) == 8
    assert "8 attempts" in str(caught.value)


def test_the_whole_wait_is_drawn_at_random(make_ask: MakeAsk, server: Server, clock: Clock):
    draws = iter([0.0, 0.5, 0.9])
    server.script = [LOST, LOST, LOST, DONE]
    make_ask(jitter=lambda: next(draws))(lambda client: client.events.publish("a", {}, 1))
    assert clock.sleeps == [0.0, 0.25, 0.9]


def test_retry_after_is_honoured_and_spread(make_ask: MakeAsk, server: Server, clock: Clock):
    server.script = [httpx.Response(429, headers={"Retry-After": "7"}), DONE]
    make_ask(jitter=lambda: 0.5)(lambda client: client.events.publish("a", {}, 1))
    assert clock.sleeps == [7.125]


def test_a_retry_after_beyond_the_bound_is_told_instead_of_waited_for(ask: Ask, server: Server, clock: Clock):
    server.script = [httpx.Response(429, headers={"Retry-After": "3600"})]
    with pytest.raises(RateLimitError) as caught:
        ask(lambda client: client.traces.list())
    assert (caught.value.retry_after, clock.sleeps) == (3600, [])


@pytest.mark.parametrize("text", ["soon", "-3", "1.5", "Wed, 41 Oct 2026 07:28:00 GMT", "²", ""])
def test_a_retry_after_that_is_neither_a_whole_number_nor_a_date_is_ignored(
    ask: Ask, server: Server, clock: Clock, text: str
):
    server.script = [httpx.Response(503, headers=[(b"Retry-After", text.encode())]), DONE]
    ask(lambda client: client.events.publish("a", {}, 1))
    assert clock.sleeps == [0.25]


@pytest.mark.parametrize(
    "until", ["Wed, 21 Oct 2026 07:28:07 GMT", "Wednesday, 21-Oct-26 07:28:07 GMT", "Wed Oct 21 07:28:07 2026"]
)
def test_a_retry_after_that_is_a_date_is_honoured_by_the_servers_own_clock(
    ask: Ask, server: Server, clock: Clock, until: str
):
    server.script = [
        httpx.Response(503, headers={"Retry-After": until, "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        DONE,
    ]
    ask(lambda client: client.events.publish("a", {}, 1))
    assert clock.sleeps == [7.25]


def test_a_date_without_the_servers_clock_is_compared_with_now_and_the_past_is_no_wait(
    ask: Ask, server: Server, clock: Clock
):
    server.script = [httpx.Response(503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), DONE]
    ask(lambda client: client.events.publish("a", {}, 1))
    assert clock.sleeps == [0.25]
    far = Answer(503, {"Retry-After": "Wed, 21 Oct 2199 07:28:00 GMT"}, b"")
    assert (far.retry_after or 0) > TOTAL_SECONDS


def test_no_retries_when_none_are_wanted(make_ask: MakeAsk, server: Server):
    server.script = [httpx.Response(503)]
    with pytest.raises(ServerError):
        make_ask(max_retries=0)(lambda client: client.traces.list())
    assert len(server.requests) == 1


def test_a_lost_connection_is_an_error_of_ours_with_its_cause(ask: Ask, server: Server):
    server.script = [LOST]
    with pytest.raises(APIConnectionError, match="no answer from") as caught:
        ask(lambda client: client.traces.list())
    assert caught.value.__cause__ is LOST
    assert caught.value.hint
    assert caught.value.attempts == 4


def test_a_timeout_is_told_apart(ask: Ask, server: Server):
    server.script = [httpx.ReadTimeout("slow")]
    with pytest.raises(APITimeoutError, match="in time"):
        ask(lambda client: client.traces.list())


def test_the_client_works_again_after_an_error(ask: Ask, server: Server):
    server.script = [LOST] * 4 + [DONE]
    with pytest.raises(APIConnectionError):
        ask(lambda client: client.events.publish("a", {}, 1))
    assert ask(lambda client: client.events.publish("a", {}, 1)).event_id == 7


@given(
    jitter=st.lists(st.floats(0, 1, exclude_max=True), min_size=1),
    retry_after=st.integers(0, 100) | st.none(),
    attempt_seconds=st.floats(0, 40),
)
def test_retries_are_bounded_whatever_happens(jitter: list[float], retry_after: int | None, attempt_seconds: float):
    now = 0.0
    drawn = iter(jitter * 200)
    retries = Retries(RetryPolicy(max_retries=100, jitter=lambda: next(drawn), clock=lambda: now))
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    started = [0.0]
    while True:
        now += attempt_seconds
        wait = retries.wait_after(Answer(503, headers, b""))
        if wait is None:
            break
        assert (retry_after or 0) <= wait <= (retry_after or 0) + LONGEST_WAIT_SECONDS
        now += wait
        started.append(now)
    assert len(started) == retries.attempts <= 101
    assert started[-1] <= TOTAL_SECONDS + 1e-6
