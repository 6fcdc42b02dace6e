"""Which leader, and which of its lives, answers for a partition: the moments at which a log can have lost its end.

A log loses its end only when a leader dies or another one takes over. Then the epoch of the leader is another one
(KIP-101), or, where a volume was put back to an earlier state and counts its epochs anew, at least the connection: a
broker that was started again cannot answer on the old one. As long as both are the same, nothing that was read is gone.

aiokafka 0.14 has neither in its interface: ListOffsets with the leader's epoch (version 5) is described here, and the
epochs of what is fetched are read from the heads of the batches. It sends no OffsetForLeaderEpoch; the records are
compared instead (`record_identity`), which also tells apart what has the same epoch.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Int64, Schema, String
from typing_extensions import override

from axonstream.kafka.record_identity import NO_EPOCH, leader_epochs

_LATEST = -1
_CONSUMER = -1
_AGAIN_S = 0.05
_REMEMBERED = 16  # leaders of one partition; what is asked for is among the newest


class _ListOffsetsResponse(Response):
    @property
    @override
    def API_KEY(self) -> int:
        return 2

    @property
    @override
    def API_VERSION(self) -> int:
        return 5

    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                (
                    "partitions",
                    Array(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("timestamp", Int64),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                    ),
                ),
            ),
        ),
    )


class _ListOffsetsRequestStruct(RequestStruct):
    API_KEY = 2
    API_VERSION = 5
    RESPONSE_TYPE = _ListOffsetsResponse
    SCHEMA = Schema(
        ("replica_id", Int32),
        ("isolation_level", Int8),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                (
                    "partitions",
                    Array(("partition", Int32), ("current_leader_epoch", Int32), ("timestamp", Int64)),
                ),
            ),
        ),
    )


class _ListOffsetsRequest(Request[_ListOffsetsRequestStruct]):
    API_KEY = 2

    def __init__(self, partitions: Iterable[TopicPartition]) -> None:
        self._topics: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for topic, partition in partitions:
            self._topics[topic].append((partition, NO_EPOCH, _LATEST))

    def build(self, request_struct_class: type[_ListOffsetsRequestStruct]) -> _ListOffsetsRequestStruct:
        return request_struct_class(_CONSUMER, 0, list(self._topics.items()))


class Leader(NamedTuple):
    """Two answers of equal leaders are of one log that has only grown between them."""

    epoch: int
    connection: object


class LogEnd(NamedTuple):
    """The offset of the next record, as its leader said."""

    end: int
    leader: Leader


async def log_ends(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], timeout_s: float
) -> dict[TopicPartition, LogEnd]:
    """Where each partition ends, and who says so. Raises KafkaError when that is not known of all of them in time."""
    client = consumer._client
    told: dict[TopicPartition, LogEnd] = {}
    try:
        async with asyncio.timeout(timeout_s):
            await _know_topics(client, partitions)
            while True:
                told = await _told_at_once(client, partitions)
                if len(told) == len(partitions):
                    return told
                await client.force_metadata_update()
                await asyncio.sleep(_AGAIN_S)
    except TimeoutError as error:
        untold = ", ".join(f"{tp.topic} {tp.partition}" for tp in partitions if tp not in told)
        raise RequestTimedOutError(f"the leaders do not say in time where their logs end: {untold}") from error


async def told_ends(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], timeout_s: float
) -> dict[TopicPartition, LogEnd]:
    """As `log_ends`, of the partitions whose leaders say it at once: one without a leader holds up no other.

    A leader that hangs is waited for as long as `timeout_s`. Raises KafkaError when this client may not ask.
    """
    client = consumer._client
    until = asyncio.get_running_loop().time() + timeout_s
    try:
        async with asyncio.timeout_at(until):
            await _know_topics(client, partitions)
    except TimeoutError:
        return {}
    told = await _told_at_once(client, partitions, until)
    if len(told) < len(partitions):
        client.force_metadata_update()  # there may be a leader at the next look
    return told


async def _know_topics(client: Any, partitions: Iterable[TopicPartition]) -> None:
    for topic in {tp.topic for tp in partitions}:
        await client._wait_on_metadata(topic)


async def _told_at_once(
    client: Any, partitions: Iterable[TopicPartition], until: float | None = None
) -> dict[TopicPartition, LogEnd]:
    by_node: defaultdict[int, list[TopicPartition]] = defaultdict(list)
    for tp in partitions:
        node = client.cluster.leader_for_partition(tp)
        if node is not None and node != -1:
            by_node[node].append(tp)
    answers = await asyncio.gather(*(_answer(client, node, tps, until) for node, tps in by_node.items()))
    told: dict[TopicPartition, LogEnd] = {}
    for answer in answers:
        for tp, end in answer.items():
            if isinstance(end, LogEnd):
                told[tp] = end
            elif is_final(end):
                raise end
    return told


async def _answer(
    client: Any, node: int, partitions: Sequence[TopicPartition], until: float | None
) -> dict[TopicPartition, LogEnd | KafkaError]:
    """Nothing when the broker does not answer until then (of the loop's clock)."""
    try:
        async with asyncio.timeout_at(until):
            return await ask_leader(client, node, partitions)
    except (KafkaError, OSError, TimeoutError):
        return {}


def is_final(error: KafkaError) -> bool:
    """Whether asking again is of no use: the client may not ask.

    Any other error of a partition passes when its leader has settled. `retriable` of aiokafka 0.14 does not tell: it is
    False for REPLICA_NOT_AVAILABLE (9), and for the codes that aiokafka has no name for: FENCED_LEADER_EPOCH (74),
    UNKNOWN_LEADER_EPOCH (75), and OFFSET_NOT_AVAILABLE (78), which a leader answers that was just elected (KIP-207).
    """
    return isinstance(error, (TopicAuthorizationFailedError, ClusterAuthorizationFailedError))


async def ask_leader(
    client: Any, node: int, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, LogEnd | KafkaError]:
    """What a broker answers for each of the partitions that it leads. Raises KafkaError when it does not answer."""
    answer = await client.send(node, _ListOffsetsRequest(partitions))
    connection = connection_of(client, node)
    found: dict[TopicPartition, LogEnd | KafkaError] = {}
    for topic, parts in answer.topics:
        for partition, code, _, offset, epoch in parts:
            tp = TopicPartition(topic, partition)
            found[tp] = LogEnd(offset, Leader(epoch, connection))
            if code:
                error = cast("type[KafkaError]", for_code(code))
                found[tp] = error(f"{topic} {partition} does not say where it ends: error {code}")
    return found


def connection_of(client: Any, node: int) -> object:
    """What stands for the connection to a broker, as long as it is open. Keep it: an id alone may be given again."""
    return client._conns.get((node, ConnectionGroup.DEFAULT)) or object()


def leader_connection(consumer: AIOKafkaConsumer, partition: TopicPartition) -> object | None:
    """What stands for the leader that answers now, and for its life; None while there is no connection to one."""
    client: Any = consumer._client
    return client._conns.get((client.cluster.leader_for_partition(partition), ConnectionGroup.DEFAULT))


class LeaderWatch:
    """Of everything that a consumer fetches: by which leader it was taken, and at which offsets another one begins.

    Hooks `send` of aiokafka 0.14.0's client. Make it after the consumer was started, before it fetches.
    """

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._client: Any = consumer._client
        self._epochs: dict[TopicPartition, tuple[list[int], list[int]]] = {}  # offsets, and the epoch from each on
        self._connections: dict[TopicPartition, object] = {}
        self._doubts: defaultdict[TopicPartition, list[int]] = defaultdict(list)
        send: Callable[..., Any] = self._client.send

        async def watched(node: int, request: Any, **options: Any) -> Any:
            answer = await send(node, request, **options)
            if isinstance(request, FetchRequest):
                self._fetched(connection_of(self._client, node), answer)
            return answer

        self._client.send = watched

    def epoch_at(self, partition: TopicPartition, offset: int) -> int:
        """The epoch of the leader that took the record; NO_EPOCH where it was not fetched here."""
        offsets, epochs = self._epochs.get(partition, ((), ()))
        at = bisect_right(offsets, offset)
        return epochs[at - 1] if at else NO_EPOCH

    def doubts(self, partition: TopicPartition, below: int) -> list[int]:
        """The offsets below `below` from which on another leader, or another life of it, has answered: what was read
        before must be compared with the log once more. Each is told once.
        """
        found = self._doubts.get(partition)
        if not found:
            return []
        told = [offset for offset in found if offset < below]
        if told:
            self._doubts[partition] = [offset for offset in found if offset >= below]
        return told

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """These partitions are read from another place, or anew."""
        for tp in partitions:
            self._epochs.pop(tp, None)
            self._connections.pop(tp, None)
            self._doubts.pop(tp, None)

    def _fetched(self, connection: object, answer: Any) -> None:
        for topic, partitions in answer.topics:
            for partition, code, *_, batches in partitions:
                if not code and batches:
                    self._note(TopicPartition(topic, partition), connection, batches)

    def _note(self, tp: TopicPartition, connection: object, batches: bytes) -> None:
        offsets, epochs = self._epochs.setdefault(tp, ([], []))
        is_first = True
        for base, epoch in leader_epochs(batches):
            is_other = self._connections.get(tp) is not connection if is_first else False
            is_first = False
            if epochs and epochs[-1] == epoch and not is_other:
                continue
            if offsets and base < offsets[-1]:  # it was moved back
                offsets.clear()
                epochs.clear()
            if not epochs or epochs[-1] != epoch:
                offsets.append(base)
                epochs.append(epoch)
            self._doubts[tp].append(base)
        self._connections[tp] = connection
        del offsets[:-_REMEMBERED], epochs[:-_REMEMBERED]
