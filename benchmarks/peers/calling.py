"""What one call costs the caller: `publish` of the SDK, or a bare httpx post of the same body on a kept connection.

Prints "ready", and at the end its seconds and its CPU seconds as JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import httpx
import orjson

from axonstream import AxonPush
from benchmarks.measuring.sample_events import body_of, event_fields, trace_id
from benchmarks.peers.job import CallJob, say, set_gc, told

WARM_UP = 50
HEADERS = {"X-API-Key": "ak_local", "x-tenant-id": "1", "Content-Type": "application/json"}


def sdk(client: AxonPush) -> Callable[[int], None]:
    def call(number: int) -> None:
        fields = event_fields(number, trace_id(number))
        client.events.publish(
            fields["identifier"],
            fields["payload"],
            fields["channel_id"],
            agent_id=fields["agentId"],
            trace_id=fields["traceId"],
            span_id=fields["spanId"],
            event_type=fields["eventType"],
            dedup_key=fields["dedupKey"],
        )

    return call


def bare(client: httpx.Client) -> Callable[[int], None]:
    def call(number: int) -> None:
        answer = client.post("/event", content=body_of(event_fields(number, trace_id(number))))
        if answer.status_code != 201:
            raise RuntimeError(answer.text)
        orjson.loads(answer.content)

    return call


def main() -> None:
    job = told(CallJob)
    set_gc()
    with AxonPush("ak_local", "1", base_url=job.url) as ours, httpx.Client(base_url=job.url, headers=HEADERS) as theirs:
        call = sdk(ours) if job.way == "sdk" else bare(theirs)
        for number in range(WARM_UP):
            call(number)
        say("ready")
        started, cpu = time.monotonic(), time.process_time()
        for number in range(WARM_UP, WARM_UP + job.count):
            call(number)
        say(json.dumps({"seconds": time.monotonic() - started, "cpu_s": time.process_time() - cpu}))


if __name__ == "__main__":
    main()
