"""bytewax: a stateful map between a Kafka source and a Kafka sink, with its recovery store and an epoch a second."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from benchmarks.peers.job import FETCH_BYTES, FETCH_MAX_BYTES, StreamJob, say, set_gc, told
from benchmarks.peers.plain_fold import folded

op: Any = import_module("bytewax.operators")  # not in the environment that the types are checked in
kafka: Any = import_module("bytewax.connectors.kafka")
recovery: Any = import_module("bytewax.recovery")
dataflow: Any = import_module("bytewax.dataflow")
testing: Any = import_module("bytewax.testing")

BATCH = 1000


def fold(state: dict[str, Any] | None, value: bytes) -> tuple[dict[str, Any], bytes]:
    state = folded(state, orjson.loads(value))
    return state, orjson.dumps(state)


def flow_of(job: StreamJob) -> Any:
    flow = dataflow.Dataflow("traces")
    fetch = {"fetch.max.bytes": str(FETCH_MAX_BYTES), "max.partition.fetch.bytes": str(FETCH_BYTES)}
    source = kafka.KafkaSource([job.kafka], [job.events], tail=True, batch_size=BATCH, add_config=fetch)
    events = op.input("events", flow, source)
    keyed = op.map("key", events, lambda message: (message.key.decode(), message.value))
    summaries = op.stateful_map("fold", keyed, fold)
    records = op.map("record", summaries, lambda pair: kafka.KafkaSinkMessage(pair[0].encode(), pair[1]))
    sink = kafka.KafkaSink([job.kafka], job.output, add_config={"acks": "all", "enable.idempotence": "true"})
    op.output("summaries", records, sink)
    return flow


def main() -> None:
    set_gc()
    job = told(StreamJob)
    store = Path(job.directory)
    recovery.init_db_dir(store, 1)
    say("ready")
    testing.run_main(
        flow_of(job),
        epoch_interval=timedelta(seconds=1),
        recovery_config=recovery.RecoveryConfig(str(store)),
    )


if __name__ == "__main__":
    main()
