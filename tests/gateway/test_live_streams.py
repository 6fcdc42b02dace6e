"""Live streams of a running gateway: what is published once the headers are there comes, to whom it is for, exactly."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Callable, Coroutine, Iterator
from secrets import token_hex
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from axonstream.gateway.live.position import Kind, former_position
from axonstream.gateway.sealed_texts import SealedTexts, sealing_key
from kit.live_events import LiveResponse, live
from kit.live_gateways import KEYS, LiveGateways, live_gateways
from kit.running_stack import HEADERS

pytestmark = pytest.mark.services

OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}
RECENT = {"x-axonpush-api-key": "ak_local"}


@pytest.fixture(scope="module")
def gateways(kafka_bootstrap: str) -> Iterator[LiveGateways]:
    with live_gateways(kafka_bootstrap, number=2) as gateways:
        yield gateways


@pytest.fixture
def run(gateways: LiveGateways) -> Callable[[Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]], None]:
    def run(scenario: Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]) -> None:
        async def with_client() -> None:
            async with httpx.AsyncClient(base_url=gateways.urls[0], timeout=60) as client:
                await scenario(client)

        asyncio.run(with_client())

    return run


def event(**fields: Any) -> dict[str, Any]:
    return {"identifier": "step", "payload": {}, "channel_id": 1} | fields


async def publish(client: httpx.AsyncClient, headers: dict[str, str] = HEADERS, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/event", json=event(**fields), headers=headers)
    assert answer.is_success, answer.text
    return answer.json()


async def identifiers(stream: LiveResponse, number: int) -> list[str]:
    return [received.data["identifier"] for received in await stream.take(number)]


def test_a_stream_has_its_headers_and_a_comment_before_any_event(run: Any) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        async with live(client, "/channel/1/subscribe") as stream:
            headers = stream.response.headers
            assert headers["content-type"] == "text/event-stream"
            assert headers["x-accel-buffering"] == "no"
            assert "no-store" in headers["cache-control"]
            await stream.comment()

    run(scenario)


def test_an_event_comes_as_the_row_of_its_trace_in_the_streams_generation(run: Any) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        async with (
            live(client, "/channel/1/subscribe") as early,
            live(client, "/channel/1/subscribe", headers=RECENT) as recent,
        ):
            for headers, stream in ((HEADERS, early), (RECENT, recent)):
                answer = await publish(client, headers, payload={"n": 1}, metadata={"m": None}, agentId="a", spanId="s")
                for each in (early, recent):
                    received = await each.next()
                    assert received.event == "message"
                    if each is stream:
                        # The answer has the gateway's time of arrival, what is stored and streamed the broker's.
                        clocks = ("createdAt", "updatedAt", "created_at", "updated_at")
                        assert received.data.keys() == answer.keys()
                        assert received.data | dict.fromkeys(clocks) == answer | dict.fromkeys(clocks)

    run(scenario)


FILTERS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("/channel/1/subscribe", {}, {"channel_id": 2}),
    ("/channel/2/subscribe", {"channel_id": 2}, {}),
    ("/channel/1/a%2Fb/subscribe", {"identifier": "a/b"}, {"identifier": "b"}),
    ("/channel/1/subscribe?agentId=me", {"agentId": "me"}, {"agentId": "you"}),
    ("/channel/1/subscribe?agentId=me", {"agentId": "me"}, {}),
    ("/channel/1/subscribe?eventType=agent.error", {"eventType": "agent.error"}, {}),
    ("/live?agent=me&type=agent.start", {"agentId": "me", "eventType": "agent.start"}, {"agentId": "me"}),
    ("/live?identifier=it", {"identifier": "it", "channel_id": 2}, {"identifier": "not it"}),
    ("/live?errors=true", {"eventType": "agent.error"}, {"eventType": "agent.end"}),
]


@pytest.mark.parametrize(("path", "wanted", "unwanted"), FILTERS)
def test_only_what_the_filters_let_through_comes(
    run: Any, path: str, wanted: dict[str, Any], unwanted: dict[str, Any]
) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        async with live(client, path) as stream:
            for number in range(3):
                await publish(client, payload={"wanted": False}, **unwanted)
                await publish(client, payload={"wanted": number}, **wanted)
            assert [received.data["payload"]["wanted"] for received in await stream.take(3)] == [0, 1, 2]

    run(scenario)


@pytest.mark.parametrize("path", ["/traces/{}/live", "/live?trace={}", "/channel/1/subscribe?traceId={}"])
def test_a_trace_is_followed_before_it_has_events(run: Any, path: str) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        trace = f"tr_{token_hex(8)}"
        async with live(client, path.format(trace)) as stream:
            for number in range(5):
                await publish(client, traceId=f"{trace}{number}")
                await publish(client, traceId=trace, payload={"n": number})
            assert [received.data["payload"]["n"] for received in await stream.take(5)] == [0, 1, 2, 3, 4]

    run(scenario)


def test_two_tenants_never_see_each_others_events(run: Any) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        trace = f"tr_{token_hex(8)}"
        for path in ("/live", "/channel/1/subscribe", f"/traces/{trace}/live"):
            async with live(client, path) as ours, live(client, path, headers=OTHER) as theirs:
                for _ in range(3):
                    await publish(client, HEADERS, identifier="ours", traceId=trace)
                    await publish(client, OTHER, identifier="theirs", traceId=trace)
                assert await identifiers(ours, 3) == ["ours"] * 3
                assert await identifiers(theirs, 3) == ["theirs"] * 3
                resumed = ours.position
            await publish(client, HEADERS, identifier="ours", traceId=trace)
            stolen = await client.get(path, headers={**OTHER, "Last-Event-ID": resumed})  # S17: it is nobody else's
            assert (stolen.status_code, "gave to this tenant" in stolen.json()["message"]) == (400, True)

    run(scenario)


def test_json_comes_as_the_sender_wrote_it_whatever_lines_it_has(run: Any) -> None:
    exact = '{"one": 1.00,"big":1180591620717411303424,"none":null,"line":"a\\nb\u2028c\u2029d\x85e"}'

    async def scenario(client: httpx.AsyncClient) -> None:
        async with live(client, "/channel/1/subscribe") as stream:
            for text in (exact, exact.replace(",", ",\r\n"), exact.replace(",", ",\r"), exact.replace(",", "\n\n,")):
                body = f'{{"identifier":"a","channel_id":1,"payload":{text}}}'
                assert (await client.post("/event", content=body.encode(), headers=HEADERS)).status_code == 201
                payload = (await stream.next()).data["payload"]
                assert payload["line"] == "a\nb\u2028c\u2029d\x85e"
                assert payload["big"] == float(2**70)

    run(scenario)


def test_an_event_that_is_published_again_is_delivered_once(run: Any) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        trace = f"tr_{token_hex(8)}"
        async with live(client, "/live") as stream:
            for _ in range(3):
                await publish(client, traceId=trace, dedupKey="one")
            await publish(client, traceId=trace, identifier="until here")
            assert await identifiers(stream, 2) == ["step", "until here"]
            async with live(client, "/live") as later:  # which has not had it
                await publish(client, traceId=trace, dedupKey="one", identifier="again")
                await publish(client, traceId=trace, dedupKey="two", identifier="other")
                assert await identifiers(stream, 1) == ["other"]
                assert await identifiers(later, 2) == ["again", "other"]

    run(scenario)


def test_an_event_that_is_published_again_is_not_delivered_to_who_resumes(run: Any, gateways: LiveGateways) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        trace = f"tr_{token_hex(8)}"
        for path in (f"/traces/{trace}/live", "/live"):
            key = token_hex(4)
            async with live(client, path) as stream:
                await publish(client, traceId=trace, dedupKey=key)
                position = (await stream.next()).position
            for identifier, dedup_key in (("again", key), ("other", key + "2"), ("again", key + "2")):
                await publish(client, traceId=trace, dedupKey=dedup_key, identifier=identifier)
            async with live(client, gateways.urls[1] + path, position) as stream:
                assert await identifiers(stream, 1) == ["other"]
                await publish(client, traceId=trace, dedupKey=key, identifier="again")
                await publish(client, traceId=trace, identifier="last")
                assert await identifiers(stream, 1) == ["last"]

    run(scenario)


FORGED = [
    ("/traces/t/live", Kind.TRACE, [9999, 0]),
    ("/traces/t/live", Kind.TRACE, [9999, 1]),
    ("/live", Kind.VECTOR, [0] * 50),
    ("/live", Kind.VECTOR, [0, 0, 0, 1]),
]
BAD = [
    ("/channel/99999/subscribe", 404, "no such channel"),
    ("/channel/one/subscribe", 404, "no such channel"),
    ("/channel/1/subscribe?eventType=NO", 400, "eventType must be"),
    ("/channel/1/subscribe?agentId=", 400, "agentId must be"),
    ("/channel/1/subscribe?agentId=a&agentId=b", 400, "2 times"),
    ("/live?errors=maybe", 400, "true or false"),
    ("/live?errors=true&type=agent.end", 400, "let no event through"),
    ("/traces/a/live?trace=b", 400, "two traces"),
    ("/live?lastEventId=abc", 400, "not an event id that this server gave"),
    ("/live?lastEventId=AgAAAAAAAAQAAAAA", 400, "not an event id that this server gave"),
]


@pytest.mark.parametrize(("path", "status", "words"), BAD)
def test_what_cannot_be_streamed_is_refused_in_words(run: Any, path: str, status: int, words: str) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.get(path, headers=HEADERS)
        assert answer.status_code == status
        assert words in answer.json()["message"]
        assert answer.json()["hint"]

    run(scenario)


@pytest.mark.parametrize(("path", "kind", "numbers"), FORGED)
def test_a_position_of_a_partition_that_is_not_there_is_refused(
    run: Any, gateways: LiveGateways, path: str, kind: Kind, numbers: list[int]
) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        mark = await mark_of_log(client, gateways)
        forged = seal_of(gateways).text("1", former_position(kind, mark, numbers)).decode()
        answer = await client.get(path, params={"lastEventId": forged}, headers=HEADERS)
        assert answer.status_code == 400
        assert "never had" in answer.json()["message"]

    run(scenario)


def seal_of(gateways: LiveGateways) -> SealedTexts:
    settings = gateways.settings.model_copy(update={"api_keys": SecretStr(KEYS)})
    return SealedTexts(sealing_key(settings, "live positions"))


async def mark_of_log(client: httpx.AsyncClient, gateways: LiveGateways) -> bytes:
    async with live(client, "/live") as stream:
        return seal_of(gateways).content("1", stream.position)[1:7]


def test_who_comes_with_a_position_of_an_early_version_goes_on_live_and_is_told(
    run: Any, gateways: LiveGateways
) -> None:
    """S17: offsets that a reader may choose would tell where each partition ends."""

    async def scenario(client: httpx.AsyncClient) -> None:
        mark = await mark_of_log(client, gateways)
        for offset in (0, 1 << 40):
            plain = former_position(Kind.VECTOR, mark, [offset] * 3)
            early = urlsafe_b64encode(plain.rstrip(b"\0")[:-1]).decode().rstrip("=")
            async with live(client, "/live", early) as stream:
                gap = await stream.next()
                assert (gap.event, gap.data["reason"]) == ("gap", "old_position")
                assert "missed" not in gap.data
                await publish(client, identifier="after")
                assert await identifiers(stream, 1) == ["after"]
            async with live(client, "/live", gap.data["resume"]) as stream:
                assert await identifiers(stream, 1) == ["after"]

    run(scenario)


def test_without_a_key_there_is_no_stream_and_a_head_request_ends(run: Any) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        assert (await client.get("/live", headers={"X-API-Key": "wrong"})).status_code == 401
        answer = await client.head("/live", headers=HEADERS)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")

    run(scenario)
