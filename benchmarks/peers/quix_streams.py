"""quixstreams: a stateful dataframe whose states go to RocksDB and to a changelog topic."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import orjson

from benchmarks.peers.job import FETCH_BYTES, FETCH_MAX_BYTES, StreamJob, say, set_gc, told
from benchmarks.peers.plain_fold import folded

quixstreams: Any = import_module("quixstreams")  # not in the environment that the types are checked in


def fold(value: bytes, state: Any) -> bytes:
    trace = folded(state.get("trace"), orjson.loads(value))
    state.set("trace", trace)
    return orjson.dumps(trace)


def main() -> None:
    set_gc()
    job = told(StreamJob)
    app = quixstreams.Application(
        broker_address=job.kafka,
        consumer_group=job.group,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        state_dir=job.directory,
        loglevel="WARNING",
        producer_extra_config={"acks": "all", "enable.idempotence": True},
        consumer_extra_config={"fetch.max.bytes": FETCH_MAX_BYTES, "max.partition.fetch.bytes": FETCH_BYTES},
    )
    events = app.topic(job.events, key_deserializer="bytes", value_deserializer="bytes")
    output = app.topic(job.output, key_serializer="bytes", value_serializer="bytes")
    app.dataframe(events).apply(fold, stateful=True).to_topic(output)
    say("ready")
    app.run()


if __name__ == "__main__":
    main()
