"""The supervisor says when the pipeline stands."""

from __future__ import annotations

import asyncio
import json

import pytest

from axonstream.local import pipeline_watch
from axonstream.local.pipeline_watch import watch_pipeline
from kit.until import until

OK = {"state": "ok", "eventsLagSeconds": 0.0, "summariesLagSeconds": 0.0}
STANDS = {"state": "stands: nothing moves", "eventsLagSeconds": 42.0, "summariesLagSeconds": 41.5}
UNKNOWN = {"state": "not known: Kafka cannot be reached", "eventsLagSeconds": None, "summariesLagSeconds": None}


def test_the_supervisor_says_once_that_it_stands_and_once_that_it_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_watch, "EVERY_S", 0.0)
    said: list[str] = []
    answers = [OK, STANDS, UNKNOWN, STANDS, OK, OK]
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            body = json.dumps({"parts": {"pipeline": answers[min(asked, len(answers) - 1)]}}).encode()
            asked += 1
            head = f"HTTP/1.1 503 -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        watching = asyncio.create_task(watch_pipeline(lambda: f"http://127.0.0.1:{port}", said.append))
        await until(lambda: asked > len(answers), "all answers were asked for", 60)
        watching.cancel()
        await asyncio.wait([watching])
        server.close()

    asyncio.run(scenario())
    assert said == [
        "WARNING: the pipeline stands: nothing moves; events 42.0 s, summaries 41.5 s behind",
        "the pipeline is well again",
    ]
