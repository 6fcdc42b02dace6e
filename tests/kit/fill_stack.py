"""Fills a stack and writes down what it answers: `python -m kit.fill_stack DATA_DIR ANSWERS.json`, from `tests`.

It makes the files of `tests/stored` for a version that is about to be released: start a stack with the settings of
`stored_stack.SETTINGS`, run this, then `axonstream verify`, SIGTERM, and `tar` the directory without logs and run.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path

import httpx
from aiokafka import AIOKafkaProducer

from axonstream import AxonPush
from axonstream import EventType as Type
from axonstream.local.endpoints import Endpoints, read_endpoints
from kit.stored_stack import KEYS, answers

TRACES = 12
_KINDS = (
    *(Type.AGENT_START, Type.AGENT_TOOL_CALL_START, Type.AGENT_TOOL_CALL_END, Type.AGENT_MESSAGE),
    *(Type.AGENT_ERROR, Type.AGENT_HANDOFF, Type.AGENT_END, Type.CUSTOM),
)


def publish(url: str) -> None:
    """Traces of two tenants, some events twice under one dedup key, and one trace that will be deleted."""
    chance = random.Random(7)
    with AxonPush("ak_local", "1", base_url=url) as one, AxonPush("ak_other", "2", base_url=url) as other:
        for trace in range(TRACES):
            client, trace_id = (other if trace % 5 == 4 else one), f"tr_old_{trace}"
            for number in range(chance.randint(1, 9)):
                payload = {"n": number, "big": 2**63 + number, "f": 0.1, "text": "x" * chance.randint(0, 200)}
                dedup_key = f"d{trace}-{number}" if number % 3 == 0 else None
                for kind in (chance.choice(_KINDS), Type.CUSTOM)[: 2 if dedup_key else 1]:
                    client.events.publish(
                        f"step {number} ü😀",
                        payload,
                        1 + trace % 3,
                        agent_id=f"agent-{chance.randint(0, 2)}",
                        trace_id=trace_id,
                        event_type=kind,
                        dedup_key=dedup_key,
                        environment="old",
                        metadata={"sessionId": f"s{trace % 2}"},
                    )
        one.events.publish("gone", {}, 1, trace_id="tr_deleted")


async def send_what_is_no_event(kafka: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    await producer.send_and_wait("agent-events", b'{"not": "an event"}', key=b"tr_bad")
    await producer.stop()


def fill(endpoints: Endpoints, data_dir: Path) -> dict[str, object]:
    publish(endpoints.gateway_url)
    asyncio.run(send_what_is_no_event(endpoints.kafka_bootstrap_servers))
    headers = {"x-axonpush-api-key": next(iter(KEYS))}
    with httpx.Client(base_url=endpoints.gateway_url, headers=headers, trust_env=False, timeout=30) as client:
        client.request("DELETE", "/traces/tr_deleted").raise_for_status()
        client.post("/apps", json={"name": "old app"}).raise_for_status()
    command = [sys.executable, "-m", "axonstream.cli.main", "keys", "create", "--tenant", "1", "--name", "old-key"]
    made = subprocess.run(
        [*command, "--scope", "read", "--data-dir", str(data_dir)], check=True, capture_output=True, text=True
    )
    return {"key": made.stdout.strip(), **answers(endpoints.gateway_url)}


if __name__ == "__main__":
    directory, to = Path(sys.argv[1]), Path(sys.argv[2])
    found = read_endpoints(directory)
    assert found is not None
    to.write_text(json.dumps(fill(found, directory), indent=1, ensure_ascii=False))
