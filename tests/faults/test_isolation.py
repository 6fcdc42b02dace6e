"""Two tenants that share every name: nothing of the one is ever seen or counted by the other (guarantee G6)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from secrets import token_hex
from time import time_ns
from typing import Any, NamedTuple

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from axonstream.contract.event_record import EventRecord, encode_event
from axonstream.event_contract import EventInput
from axonstream.producers.event_log import EventLog
from axonstream.settings.settings import Settings
from kit.offline_gateway import OfflineGateway

KEYS = {"1": "ak_local", "2": "ak_other"}
TRACES = ("a", "b", "c")
OF_EACH = {"date": "", "x-request-id": ""}  # headers that differ from answer to answer
# Whoever adds a call that reads must add it to `everything_read`; the others read nothing of a tenant.
READS = {
    "/traces",
    "/traces/{trace_id}",
    "/traces/{trace_id}/summary",
    "/traces/{trace_id}/events",
    "/event/{channel_id}/list",
    "/events",
}
# Read by `check_streams`, and in test_live_streams.py.
LIVE = {
    "/traces/{trace_id}/live",
    "/live",
    "/channel/{channel_id}/subscribe",
    "/channel/{channel_id}/{identifier}/subscribe",
}
# What is managed has one, too: test_managing_isolation.py.
MANAGED = {
    "/apps",
    "/apps/{app_id}",
    "/apps/{app_id}/channels",
    "/apps/{app_id}/channels/{channel_id}",
    "/channel",
    "/channel/{channel_id}",
    "/webhooks/endpoints",
    "/webhooks/endpoints/channel/{channel_id}",
    "/webhooks/endpoints/{endpoint_id}",
    "/webhooks/deliveries/{endpoint_id}",
}
OTHERS = {"/event", "/v1/traces", "/health/live", "/health/ready", "/metrics", "/openapi.json"}


class Sent(NamedTuple):
    """One event; all but the marker in its payload may be the same for both tenants."""

    tenant: str
    trace: str
    dedup_key: str | None
    event_type: str
    agent: str | None
    channel: int
    event_id: int
    minus_ms: int


EVENTS = st.lists(
    st.builds(
        Sent,
        tenant=st.sampled_from(sorted(KEYS)),
        trace=st.sampled_from(TRACES),
        dedup_key=st.none() | st.sampled_from(["k", "l"]),
        event_type=st.sampled_from(["agent.error", "agent.tool_call.start", "agent.handoff", "custom"]),
        agent=st.none() | st.sampled_from(["planner", "worker"]),
        channel=st.sampled_from([1, 2]),
        event_id=st.integers(1, 3),
        minus_ms=st.integers(0, 3),
    ),
    min_size=1,
    max_size=25,
)


def test_every_route_of_the_gateway_is_known_here() -> None:
    assert OfflineGateway().paths() == READS | LIVE | MANAGED | OTHERS


class Answers(NamedTuple):
    """What one tenant is told of the example's traces."""

    listed: dict[str, dict[str, Any]]
    paged: list[str]
    summaries: dict[str, dict[str, Any] | None]
    events: dict[str, list[dict[str, Any]] | None]
    whole: dict[str, dict[str, Any] | None]
    of_channels: dict[int, list[dict[str, Any]]]
    found: list[dict[str, Any]]
    text: str


def everything_read(client: httpx.Client, tenant: str, example: str) -> Answers:
    """Every read there is, about every trace of the example; None where the answer is 404."""
    headers = {"X-API-Key": KEYS[tenant], "x-tenant-id": tenant}
    text: list[str] = []

    def read(path: str) -> Any:
        answer = client.get(path, headers=headers)
        text.append(answer.text)
        assert answer.status_code in (200, 404), answer.text
        assert "X-Axonstream-Stale" not in answer.headers
        if answer.status_code == 404:
            nobodys = client.get(path.replace(example, token_hex(8)), headers=headers)
            assert answer.json() | {"requestId": ""} == nobodys.json() | {"requestId": ""}
            assert dict(answer.headers) | OF_EACH == dict(nobodys.headers) | OF_EACH
            return None
        return answer.json()

    mine = {row["traceId"]: row for row in read("/traces?limit=1000") if example in row["traceId"]}
    pages = [read(f"/traces?page={page}&limit=2") for page in (1, 2)]
    paged = [row["traceId"] for rows in pages for row in rows if example in row["traceId"]]
    ids = [f"{example}/{trace}" for trace in TRACES]
    quoted = {trace_id: trace_id.replace("/", "%2F") for trace_id in ids}
    summaries = {trace_id: read(f"/traces/{quoted[trace_id]}/summary") for trace_id in ids}
    events = {trace_id: read(f"/traces/{quoted[trace_id]}/events") for trace_id in ids}
    whole = {trace_id: read(f"/traces/{quoted[trace_id]}") for trace_id in ids}
    of_channels = {
        channel: [row for row in read(f"/event/{channel}/list?limit=1000") if example in row["traceId"]]
        for channel in (1, 2)
    }
    found = [row for trace_id in ids for row in read(f"/events?traceId={quoted[trace_id]}")["events"]]
    return Answers(mine, paged, summaries, events, whole, of_channels, found, "".join(text))


def kept(sent: Sequence[Sent], tenant: str, trace: str) -> list[int]:
    """The numbers of the tenant's events of this trace, repeats left out, in order of time."""
    mine = [number for number, event in enumerate(sent) if (event.tenant, event.trace) == (tenant, trace)]
    first = {sent[number].dedup_key: number for number in reversed(mine)}
    unique = [number for number in mine if not sent[number].dedup_key or first[sent[number].dedup_key] == number]
    return sorted(unique, key=lambda number: number - 4 * sent[number].minus_ms)


def position_of(client: httpx.Client, tenant: str) -> str:
    """Where live streams of the tenant are now."""
    with client.stream("GET", "/live", headers={"X-API-Key": KEYS[tenant], "x-tenant-id": tenant}) as answer:
        return answer.headers["x-axonstream-position"]


def streamed(client: httpx.Client, path: str, tenant: str, since: str, number: int) -> list[dict[str, Any]]:
    """The first events that a live stream sends of what was published since."""
    headers = {"X-API-Key": KEYS[tenant], "x-tenant-id": tenant, "Last-Event-ID": since}
    rows: list[dict[str, Any]] = []
    if number:
        with client.stream("GET", path, headers=headers) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    rows.append(orjson.loads(line[6:]))
                    if len(rows) == number:
                        break
    return rows


@pytest.fixture
def client(gateway_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway_url, timeout=60) as client:
        yield client


@pytest.mark.services
def test_what_two_tenants_are_told_is_each_only_its_own(
    client: httpx.Client, stack_settings: Settings, soak: bool
) -> None:
    def published(sent: Sequence[Sent], example: str) -> None:
        now_ms = time_ns() // 1_000_000
        records = [record(number, event, example, now_ms) for number, event in enumerate(sent)]

        async def append() -> None:
            log = EventLog.from_settings(stack_settings)
            try:
                await log.append(records)
            finally:
                await log.stop()

        asyncio.run(append())

    def record(number: int, event: Sent, example: str, now_ms: int) -> EventRecord:
        contents = EventInput(
            identifier="step",
            payload={"of": marker(event.tenant, example), "number": number},
            channel_id=event.channel,
            agent_id=event.agent,
            event_type=event.event_type,
            dedup_key=event.dedup_key,
            occurred_at=now_ms + number - 4 * event.minus_ms,
        )
        return encode_event(
            contents,
            tenant_id=event.tenant,
            trace_id=f"{example}/{event.trace}",
            fresh_id=event.event_id,
            now_ms=now_ms,
        )

    @example_settings(
        max_examples=150 if soak else 6,
        deadline=None,
        derandomize=not soak,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.generate],  # an example takes seconds, so that a search for a smaller one would take minutes
    )
    @given(EVENTS)
    def isolated(sent: list[Sent]) -> None:
        example = token_hex(8)
        since = {tenant: position_of(client, tenant) for tenant in ("1", "2")}
        published(sent, example)
        for tenant, other in (("1", "2"), ("2", "1")):
            answers = everything_read(client, tenant, example)
            assert marker(other, example) not in answers.text
            truth = {f"{example}/{trace}": numbers for trace in TRACES if (numbers := kept(sent, tenant, trace))}
            assert answers.listed.keys() == truth.keys()
            assert set(answers.paged) == truth.keys()
            assert len(answers.paged) == len(truth)
            shown = {number for numbers in truth.values() for number in numbers}
            for rows, channels in [(answers.found, {1, 2}), *((rows, {c}) for c, rows in answers.of_channels.items())]:
                wanted = sorted(number for number in shown if sent[number].channel in channels)
                assert sorted(row["payload"]["number"] for row in rows) == wanted
            for trace in TRACES:
                check_trace(answers, f"{example}/{trace}", truth.get(f"{example}/{trace}"), sent)
            check_streams(client, tenant, example, since[tenant], truth)

    isolated()


def marker(tenant: str, example: str) -> str:
    return f"secret of {tenant} in {example}"


def check_streams(
    client: httpx.Client, tenant: str, example: str, since: str, truth: Mapping[str, Sequence[int]]
) -> None:
    """Of the events of all traces, and of each trace, a stream shows those of the tenant and no other."""
    paths = {"/live": [number for numbers in truth.values() for number in numbers]}
    paths |= {f"/traces/{trace.replace('/', '%2F')}/live": list(numbers) for trace, numbers in truth.items()}
    for path, numbers in paths.items():
        rows = streamed(client, path, tenant, since, len(numbers))
        assert {row["payload"]["of"] for row in rows} <= {marker(tenant, example)}
        assert len({row["payload"]["number"] for row in rows}) == len(numbers)


def check_trace(answers: Answers, trace_id: str, numbers: list[int] | None, sent: Sequence[Sent]) -> None:
    summary, rows, whole = answers.summaries[trace_id], answers.events[trace_id], answers.whole[trace_id]
    if numbers is None:
        assert (summary, rows, whole) == (None, None, None)
        return
    assert summary is not None
    assert whole is not None
    assert whole.pop("spans") == rows
    assert whole.items() <= summary.items()
    assert rows is not None
    assert [row["payload"]["number"] for row in rows] == numbers
    assert summary["events"] == rows
    types = [sent[number].event_type for number in numbers]
    for figures in (summary, answers.listed[trace_id]):
        assert figures["totalEvents"] == len(numbers)
        assert figures["errorCount"] == types.count("agent.error")
        assert figures["toolCallCount"] == types.count("agent.tool_call.start")
        assert set(figures["agents"]) == {sent[number].agent for number in numbers} - {None}
        assert set(figures["eventTypes"]) == set(types)
        steps = [at for at, kind in enumerate(types, 1) if kind == "agent.error"]
        assert (figures["firstError"] or {"step": None})["step"] == (steps[0] if steps else None)
