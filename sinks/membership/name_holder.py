"""Whether a process elsewhere may live under the name that a sink is about to take.

Kafka gives a static name to whoever joins last, at once. On one machine a lock proves that its last holder is dead (see
own_name.py). A holder on another machine may live: it is told with its next heartbeat, and its lease may last longer.
Who takes the name over waits for that lease before it looks at what is stored, so the two never store the same.
"""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import for_code
from aiokafka.protocol.admin import DescribeGroupsRequest

_UUID_LENGTH = 36  # Kafka makes the id of a static member of its name, a dash and a UUID


async def held_elsewhere(consumer: AIOKafkaConsumer, instance: str, client_id: str) -> bool:
    """Whether the group of `consumer`, which has not joined yet, has a member of this name and of another client id.

    Raises KafkaError when the group's coordinator does not say.
    """
    coordinator: Any = consumer._coordinator
    await coordinator.ensure_coordinator_known()
    answer = await coordinator._send_req(DescribeGroupsRequest([coordinator.group_id]))
    code, _, _, _, _, members, *_ = answer.groups[0]
    if code:
        coordinator.coordinator_dead()
        raise for_code(code)(f"the coordinator of {coordinator.group_id} does not tell its members")
    return any(
        member[: -_UUID_LENGTH - 1] == instance and its_client_id != client_id for member, its_client_id, *_ in members
    )
