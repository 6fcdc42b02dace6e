"""A service beside the broker publishes straight to Kafka: the same events, the same errors, no HTTP in between."""

from __future__ import annotations

import asyncio
import os

from axonstream import AxonPush, KafkaPublisher

URL = os.environ.get("AXONSTREAM_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("AXONSTREAM_API_KEY", "ak_local")
KAFKA = os.environ.get("AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")


async def main() -> None:
    async with KafkaPublisher(bootstrap_servers=KAFKA, tenant_id="1") as publisher:
        first = await publisher.publish("ingest", {"rows": 1200}, 1, agent_id="loader")
        await publisher.publish("ingest", {"rows": 900}, 1, agent_id="loader", trace_id=first.trace_id)
    with AxonPush(api_key=KEY, tenant_id="1", base_url=URL) as client:
        print(f"events: {client.traces.get_summary(first.trace_id).total_events}")


if __name__ == "__main__":
    asyncio.run(main())
