"""A trace is deleted everywhere and for good: on real servers, with a processor and a sink, over faults and replays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from gateway_in_process import gateway_in_process

from axonstream.contract.event_record import encode_event
from axonstream.event_contract import EventInput
from axonstream.kafka.topics import event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.verification import Kind, verify
from kit.oracle import SETTLES_WITHIN_S, settled
from kit.processor_process import processor
from kit.sink_process import Pipeline, pipeline, sink
from kit.until import until

pytestmark = pytest.mark.services

MINE = {"X-API-Key": "ak_local", "x-tenant-id": "1"}
OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}
DELETING = "X-Axonstream-Deleting"
TABLES = ("events_log", "trace_summaries", "dead_letters")
WITHIN_S = 60.0


class Story:
    """What the tests do over and over."""

    def __init__(self, http: httpx.AsyncClient, pipe: Pipeline) -> None:
        self.http = http
        self.pipe = pipe

    async def publish(self, trace_id: str, number: int = 3, headers: dict[str, str] = MINE, **fields: Any) -> None:
        for n in range(number):
            event = {"identifier": f"s{n}", "payload": {"n": n}, "channel_id": 1, "traceId": trace_id, **fields}
            answer = await self.http.post("/event", json=event, headers=headers)
            assert answer.status_code == 201, answer.text

    async def straight_to_kafka(self, trace_id: str, number: int) -> None:
        event = EventInput(identifier="late", payload={"late": number}, channel_id=1)
        value = encode_event(event, tenant_id="1", trace_id=trace_id, fresh_id=number, now_ms=1_900_000_000_000).value
        await self.pipe.send(self.pipe.topics.events, event_key(trace_id), value)

    async def bad_record(self, trace_id: str) -> None:
        """A dead letter that says it is of the trace."""
        value = b'{"tenant_id":"1","trace_id":"%b","secret":1}' % trace_id.encode()
        await self.pipe.send(self.pipe.topics.events, event_key(trace_id), value)

    async def get(self, path: str, headers: dict[str, str] = MINE) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def total(self, trace_id: str, headers: dict[str, str] = MINE) -> int | None:
        answer = await self.get(f"/traces/{trace_id}/summary", headers)
        return answer.json()["totalEvents"] if answer.status_code == 200 else None

    async def delete(self, path: str, headers: dict[str, str] = MINE) -> dict[str, Any]:
        answer = await self.http.delete(path, headers=headers)
        assert answer.status_code == 202, answer.text
        return answer.json()

    async def until_finished(self, trace_id: str) -> None:
        """Until then each read says 404 with the header, and nothing of the trace."""

        async def finished() -> bool:
            answer = await self.get(f"/traces/{trace_id}/events")
            assert answer.status_code == 404, answer.text
            return DELETING not in answer.headers

        await until(finished, f"{trace_id} is deleted", WITHIN_S)

    async def rows(self, trace_id: str, tenant_id: str = "1") -> tuple[int, ...]:
        """Of each table."""
        where = f"WHERE tenant_id = '{tenant_id}' AND trace_id = '{trace_id}'"
        return tuple(
            [
                (
                    await self.pipe.query(
                        f"SELECT count() FROM {t} FINAL {where}"
                        if t != "events_log"
                        else f"SELECT count() FROM {t} {where}"
                    )
                )[0][0]
                for t in TABLES
            ]
        )

    async def must_be_clean(self) -> None:
        result = await settled(self.pipe.settings, SETTLES_WITHIN_S)
        assert result.clean, result.findings


@asynccontextmanager
async def story(settings: Settings) -> AsyncGenerator[Story]:
    # a read waits for as long as a busy machine takes to store what was published before it
    async with pipeline(settings) as pipe, gateway_in_process(settings, read_wait_ms=60_000) as http:
        yield Story(http, pipe)


@pytest.fixture
def at_once(server_settings: Settings) -> Settings:
    """Deletions follow each other without a pause."""
    return server_settings.model_copy(update={"deletion_pause_s": 0.0})


def test_a_deleted_trace_is_gone_everywhere_and_nothing_else_is(at_once: Settings) -> None:
    async def scenario() -> None:
        async with story(at_once) as test:
            with sink(at_once), processor(at_once):
                for trace in ("tr_a", "tr_b"):
                    await test.publish(trace)
                await test.publish("tr_a", headers=OTHER)
                await test.bad_record("tr_a")
                assert await test.total("tr_a") == 3
                await test.pipe.until("SELECT count() FROM dead_letters", 1)
                await test.delete("/traces/tr_a")
                await test.until_finished("tr_a")
                assert await test.rows("tr_a") == (0, 0, 0)
                assert await test.rows("tr_a", "2") == (3, 1, 0)
                assert (await test.total("tr_b"), await test.total("tr_a", OTHER)) == (3, 3)
                listed = (await test.get("/traces")).json()
                assert [row["traceId"] for row in listed] == ["tr_b"]
                assert (await test.get("/event/1/list")).json()[0]["traceId"] == "tr_b"
                await test.must_be_clean()

    asyncio.run(scenario())


def test_neither_late_records_nor_a_replay_bring_a_deleted_trace_back(at_once: Settings) -> None:
    async def scenario() -> None:
        async with story(at_once) as test:
            with processor(at_once):
                with sink(at_once):
                    await test.publish("tr_a")
                    await test.publish("tr_b")
                    assert (await test.total("tr_a"), await test.total("tr_b")) == (3, 3)
                    await test.delete("/traces/tr_a")
                    await test.delete("/traces/tr_b?late=stored")
                    await test.until_finished("tr_a")
                    await test.until_finished("tr_b")
                    late = {"identifier": "s", "payload": {}, "channel_id": 1, "traceId": "tr_a"}
                    assert (await test.http.post("/event", json=late, headers=MINE)).status_code == 409
                    await test.straight_to_kafka("tr_a", 1)  # past the gateway, as KafkaPublisher does
                    await test.bad_record("tr_a")
                    await test.publish("tr_b", 2)  # a new trace from here on
                    await test.must_be_clean()
                    assert await test.rows("tr_a") == (0, 0, 0)
                    assert await test.total("tr_b") == 2
                    assert await test.rows("tr_b") == (2, 1, 0)
                for partition in range(at_once.topic_partitions):
                    await test.pipe.commit(partition, 0)
                with sink(at_once):
                    await test.must_be_clean()
                    assert await test.rows("tr_a") == (0, 0, 0)
                    assert await test.rows("tr_b") == (2, 1, 0)

    asyncio.run(scenario())


def test_a_clickhouse_from_a_backup_deletes_again_and_rows_that_were_put_back_are_found(at_once: Settings) -> None:
    async def scenario() -> None:
        async with story(at_once) as test:
            with processor(at_once):
                with sink(at_once):
                    await test.publish("tr_a")
                    assert await test.total("tr_a") == 3
                    for table in TABLES:
                        await test.pipe.client.command(f"CREATE TABLE {table}_kept AS {table}")
                        await test.pipe.client.command(f"INSERT INTO {table}_kept SELECT * FROM {table}")
                    await test.delete("/traces/tr_a")
                    await test.until_finished("tr_a")
                    await test.must_be_clean()

                    # somebody puts rows back: verify finds them, and what it advises mends it
                    for table in TABLES:
                        await test.pipe.client.command(f"INSERT INTO {table} SELECT * FROM {table}_kept")
                    returned = await verify(at_once)
                    assert dict(returned.counts) == {Kind.RETURNED: 4}, returned.findings
                    assert {finding.where for finding in returned.findings} == {"tenant 1 trace tr_a"}
                    assert "delete it again" in returned.findings[0].what
                    await test.delete("/traces/tr_a")
                    await test.until_finished("tr_a")
                    await test.must_be_clean()
                    assert await test.rows("tr_a") == (0, 0, 0)

                # yesterday's ClickHouse knows the rows, and not the deletion
                for table in TABLES:
                    await test.pipe.client.command(f"INSERT INTO {table} SELECT * FROM {table}_kept")
                await test.pipe.client.command("TRUNCATE TABLE finished_deletions")
                with sink(at_once):
                    await test.until_finished("tr_a")
                    await test.must_be_clean()
                    assert await test.rows("tr_a") == (0, 0, 0)

    asyncio.run(scenario())


def test_a_session_and_a_tenant_are_deleted_whole_and_alone(at_once: Settings) -> None:
    async def scenario() -> None:
        async with story(at_once) as test:
            with sink(at_once), processor(at_once):
                await test.publish("tr_a", metadata={"sessionId": "s1"})
                await test.publish("tr_b", metadata={"session_id": "s1", "user_id": 7})
                await test.publish("tr_c", metadata={"userId": "7"})
                await test.publish("tr_d", metadata={"note": "s1"}, userId="s1", model="7")
                await test.publish("tr_f", sessionId="s1")
                await test.publish("tr_a", headers=OTHER, metadata={"sessionId": "s1"})
                assert (await test.delete("/traces?sessionId=s1"))["traces"] == 3
                await test.until_finished("tr_a")
                await test.until_finished("tr_b")
                await test.until_finished("tr_f")
                assert (await test.total("tr_c"), await test.total("tr_d")) == (3, 3)
                assert await test.total("tr_a", OTHER) == 3
                assert (await test.delete("/traces?userId=7"))["traces"] == 1  # tr_b is gone
                await test.until_finished("tr_c")
                assert (await test.delete("/traces?userId=7"))["traces"] == 1, "asking again is harmless"
                none = await test.http.delete("/traces?userId=8", headers=MINE)
                assert none.status_code == 404
                assert (await test.delete("/traces?tenant=1"))["traces"] is None
                await test.straight_to_kafka("tr_e", 1)  # past the gateway, which answers 409
                await test.until_finished("tr_d")
                await test.until_finished("tr_e")
                await test.must_be_clean()
                assert (await test.get("/traces")).json() == []
                assert (await test.rows("tr_d"), await test.rows("tr_e")) == ((0, 0, 0), (0, 0, 0))
                assert await test.total("tr_a", OTHER) == 3
                await test.delete("/traces?tenant=1&late=stored")
                await test.until_finished("tr_d")
                await test.publish("tr_d", 1)
                assert await test.total("tr_d") == 1
                await test.must_be_clean()

    asyncio.run(scenario())
