"""Faust as its documentation has it: an agent, a table that is written and a summary that is sent for each event."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import faust
import orjson

from benchmarks.peers.job import StreamJob, say, set_gc, told
from benchmarks.peers.plain_fold import folded


class ReadyLine(faust.Sensor):
    said = False

    def on_rebalance_end(self, app: Any, state: dict[Any, Any]) -> None:
        del app, state
        if not self.said:
            self.said = True
            say("ready")


def stock_app(job: StreamJob) -> faust.App:
    """Partitions, fetch sizes and commit interval are those of the product; idempotence, Faust does not offer."""
    app = faust.App(
        job.group,
        broker=f"kafka://{job.kafka}",
        store="memory://",
        topic_partitions=job.partitions,
        topic_disable_leader=True,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        web_enabled=False,
        datadir=job.directory,
    )
    app.sensors.add(ReadyLine())
    events = app.topic(job.events, key_type=bytes, value_type=bytes, value_serializer="raw", key_serializer="raw")
    output = app.topic(job.output, key_type=bytes, value_type=bytes, value_serializer="raw", key_serializer="raw")
    traces = app.Table("traces", key_type=str, partitions=job.partitions)  # values: any JSON

    @app.agent(events)
    async def fold(stream: Any) -> None:
        async for value in stream:
            event = orjson.loads(value)
            state = traces[event["trace_id"]] = folded(traces.get(event["trace_id"]), event)
            await output.send(key=event["trace_id"].encode(), value=orjson.dumps(state))

    return app


def main() -> None:
    set_gc()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = stock_app(told(StreamJob))
    sys.argv = sys.argv[:1]
    app.Worker(
        loglevel="WARNING", loop=loop, redirect_stdouts=False, console_port=None, quiet=True
    ).execute_from_commandline()


if __name__ == "__main__":
    main()
