"""What the gateway is compared with, on the same server with the same settings: each way is one handler.

ceiling     validates the event with pydantic, and answers without Kafka
plain send  validates it, sends it with aiokafka's send, and answers when it is acknowledged
floor       the gateway's own application over an event log that keeps nothing: what validating and encoding cost
naive loop  validates each event of a bulk body, calls send() for each, and answers when all are acknowledged
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import orjson
import uvicorn
from aiokafka import AIOKafkaProducer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from axonstream.contract.event_ids import EventIds
from axonstream.contract.event_record import EventRecord, encode_event
from axonstream.event_contract import EventInput
from axonstream.gateway.app import create_app
from axonstream.kafka.topics import event_key
from axonstream.producers.append_counts import AppendCounts, Backlog
from axonstream.settings.settings import Settings
from benchmarks.peers.job import ServeJob, say, told

_ids = EventIds()


class NothingKept:
    """Acknowledges at once."""

    counts = AppendCounts()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def append(self, records: Sequence[EventRecord]) -> None: ...

    def backlog(self) -> Backlog:
        return Backlog(0, 0, 0, 0)


def validated(raw: bytes) -> EventInput:
    return EventInput.model_validate_json(raw)


def encoded(event: EventInput) -> EventRecord:
    now_ms = time.time_ns() // 1_000_000
    trace = event.trace_id or ""
    return encode_event(event, tenant_id="1", trace_id=trace, fresh_id=_ids.next(now_ms), now_ms=now_ms)


def app_of(job: ServeJob) -> Starlette:
    if job.way == "floor":
        return create_app(Settings(), NothingKept())
    producers: list[AIOKafkaProducer] = []

    async def ceiling(request: Request) -> Response:
        event = validated(await request.body())
        return Response(orjson.dumps({"identifier": event.identifier}), 201, media_type="application/json")

    async def plain_send(request: Request) -> Response:
        record = encoded(validated(await request.body()))
        await producers[0].send_and_wait(job.topic, record.value, key=event_key(record.trace_id))
        return Response(orjson.dumps({"eventId": record.event_id}), 201, media_type="application/json")

    async def naive_loop(request: Request) -> Response:
        records = [encoded(validated(raw)) for raw in (await request.body()).split(b"\n")]
        sent = [await producers[0].send(job.topic, r.value, key=event_key(r.trace_id)) for r in records]
        await asyncio.gather(*sent)
        return Response(orjson.dumps({"accepted": len(records)}), 200, media_type="application/json")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        if job.way != "ceiling":
            producer = AIOKafkaProducer(
                bootstrap_servers=job.kafka, acks="all", enable_idempotence=True, max_batch_size=512 << 10, linger_ms=0
            )
            await producer.start()
            producers.append(producer)
        yield
        for producer in producers:
            await producer.stop()

    single = ceiling if job.way == "ceiling" else plain_send
    return Starlette(
        routes=[Route("/event", single, methods=["POST"]), Route("/events", naive_loop, methods=["POST"])],
        lifespan=lifespan,
    )


class Server(uvicorn.Server):
    async def startup(self, sockets: object = None) -> None:
        del sockets
        await super().startup()
        say("ready gateway")


def main() -> None:
    job = told(ServeJob)
    logging.basicConfig(level="WARNING")
    config = uvicorn.Config(
        app_of(job),
        host="127.0.0.1",
        port=job.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_keep_alive=75,
    )
    Server(config).run()


if __name__ == "__main__":
    main()
