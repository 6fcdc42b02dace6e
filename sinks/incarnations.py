"""An incarnation: the life of one partition's log until it loses its end. Rows and summaries carry its number.

The first one of each partition is the epoch of the topics (see epochs). A log that lost its end and grew again has
other records at offsets that are stored already: from there on it is another incarnation, with a number of its own, so
that neither is taken for the other. What is below stays as it is: the log still has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from clickhouse_connect.driver.asyncclient import AsyncClient


class Incarnation(NamedTuple):
    """`number` is the `_topic_epoch` of its rows; the first of them is at the offset `since` or later."""

    number: int
    since: int


@dataclass(slots=True)
class Incarnations:
    """Of every partition, oldest first. One object is shared by the flows of a process."""

    base: int
    of_partition: dict[int, list[Incarnation]]

    def all_of(self, partition: int) -> list[Incarnation]:
        """At least the epoch of the topics."""
        return self.of_partition.get(partition) or [Incarnation(self.base, 0)]

    def current(self, partition: int) -> Incarnation:
        """The one that the log has now."""
        return self.all_of(partition)[-1]

    def at(self, partition: int, offset: int) -> int:
        """The number of the rows at an offset of the log of now."""
        return next(i.number for i in reversed(self.all_of(partition)) if offset >= i.since or i.number == self.base)

    def ends_at(self, partition: int, number: int) -> int | None:
        """The offset from which on an older incarnation has what Kafka has lost; None for the one of now."""
        later = [incarnation.since for incarnation in self.all_of(partition) if incarnation.number > number]
        return min(later) if later else None


async def read_incarnations(client: AsyncClient, topic: str, base: int) -> Incarnations:
    """Those that began within the epoch `base` of the topics."""
    found = await client.query(
        "SELECT partition, epoch, since FROM partition_incarnations FINAL WHERE topic = {topic:String} "
        "AND epoch > {base:UInt32} ORDER BY partition, epoch",
        parameters={"topic": topic, "base": base},
    )
    return made_of(base, found.result_rows)


def made_of(base: int, rows: Iterable[tuple[int, int, int] | list[int]]) -> Incarnations:
    """`rows` are (partition, number, since), by number ascending in each partition."""
    of_partition: dict[int, list[Incarnation]] = {}
    for partition, number, since in rows:
        of_partition.setdefault(partition, [Incarnation(base, 0)]).append(Incarnation(number, since))
    return Incarnations(base, of_partition)


async def next_number(client: AsyncClient, at_least: int) -> int:
    """A number above every one that was given in this database, and above `at_least`."""
    ((known,),) = (
        await client.query(
            "SELECT greatest((SELECT max(epoch) FROM topic_epochs), (SELECT max(epoch) FROM partition_incarnations))"
        )
    ).result_rows
    return max(int(known or 0), at_least) + 1


async def record_incarnations(
    client: AsyncClient, topic: str, begun: Mapping[int, Incarnation], previous: Mapping[int, int], reason: str
) -> None:
    """Write down that these partitions have begun another incarnation. Writing it again changes nothing."""
    await client.insert(
        "partition_incarnations",
        [
            [topic, partition, incarnation.number, incarnation.since, previous[partition], reason]
            for partition, incarnation in begun.items()
        ],
        column_names=["topic", "partition", "epoch", "since", "previous", "reason"],
    )
