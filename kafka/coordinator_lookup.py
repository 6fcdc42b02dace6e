"""A broker that hangs does not keep a group member from its coordinator.

aiokafka asks any broker where the coordinator is, and waits for the whole request timeout (40 s). A frozen broker that
was asked by chance costs a member its session, and all of its partitions stand still meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import RequestTimedOutError

LOOKUP_S = 3.0


def look_up_promptly(consumer: AIOKafkaConsumer) -> None:
    """From now on this consumer asks another broker when one has not answered within LOOKUP_S.

    Call it after the consumer's start. aiokafka asks again, any broker, after a KafkaError.
    """
    client: Any = consumer._client
    look_up = client.coordinator_lookup

    async def within_bounds(*asked: Any) -> Any:
        try:
            async with asyncio.timeout(LOOKUP_S):
                return await look_up(*asked)
        except TimeoutError as error:
            raise RequestTimedOutError("a broker does not say where the coordinator is") from error

    client.coordinator_lookup = within_bounds
