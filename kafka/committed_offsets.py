"""What a group has committed, and never "nothing" where its coordinator did not say.

A coordinator that still loads, or has moved, answers with one error code for the whole of an OffsetFetch and names no
partition. aiokafka looks at the codes of partitions alone, so it takes that answer for a group without any commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupLoadInProgressError, NotCoordinatorForGroupError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.structs import OffsetAndMetadata


def heed_whole_answers(consumer: AIOKafkaConsumer) -> None:
    """Let a started consumer with a group ask again, as aiokafka does where a partition has the error."""
    coordinator: Any = consumer._coordinator
    send = coordinator._send_req

    async def send_and_heed(request: Any) -> Any:
        answer = await send(request)
        if isinstance(request, OffsetFetchRequest) and (code := getattr(answer, "error_code", 0)):
            error = for_code(code)
            if not issubclass(error, GroupLoadInProgressError):
                coordinator.coordinator_dead()
            raise error(f"the coordinator of {coordinator.group_id} does not tell its offsets")
        return answer

    coordinator._send_req = send_and_heed


async def group_offsets(
    admin: AIOKafkaAdminClient, group: str, partitions: Sequence[TopicPartition], coordinator: int | None = None
) -> dict[TopicPartition, OffsetAndMetadata]:
    """What `group` has committed of each of `partitions`; the offset is -1 where that is nothing.

    Raises KafkaError, NotCoordinatorForGroupError where the coordinator does not say. `coordinator` is its node, where
    that is known.
    """
    try:
        found = await admin.list_consumer_group_offsets(group, coordinator, list(partitions))
    except TypeError as error:  # which aiokafka makes of an error code of one partition
        raise NotCoordinatorForGroupError(group) from error
    if len(found) < len(partitions):
        raise NotCoordinatorForGroupError(f"the coordinator of {group} does not tell its offsets")
    return found
