"""A partition's log without its end, as a power cut or an unclean election leaves it; the broker must be dead."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from axonstream.local.kafka_broker import DATA
from kit.kafka_cluster import KafkaCluster

_OFFSET_AND_LENGTH = 12  # of a batch's head: base offset 8 bytes, length 4


def cut_last_batches(broker: Path, topic: str, partition: int, batches: int) -> int:
    """The offset at which the log ends now. Kafka makes its indexes anew when it starts."""
    folder = broker / DATA / f"{topic}-{partition}"
    [segment] = sorted(folder.glob("*.log"))
    content = segment.read_bytes()
    heads: list[int] = []
    at = 0
    while at + _OFFSET_AND_LENGTH <= len(content):
        length = int.from_bytes(content[at + 8 : at + _OFFSET_AND_LENGTH], "big")
        if not length:
            break
        heads.append(at)
        at += _OFFSET_AND_LENGTH + length
    assert len(heads) > batches, f"{folder.name} has {len(heads)} batches"
    cut = heads[-batches]
    with segment.open("r+b") as file:
        file.truncate(cut)
    for snapshot in folder.glob("*.snapshot"):
        snapshot.unlink()
    return int.from_bytes(content[cut : cut + 8], "big")


async def lose_the_end(cluster: KafkaCluster, topic: str, partitions: Iterable[int], batches: int) -> None:
    """Kill the only broker, cut the logs of these partitions, and start it again."""
    [broker] = cluster.brokers.values()
    broker.kill()
    try:
        for partition in partitions:
            cut_last_batches(broker.directory, topic, partition, batches)
    finally:
        broker.start()
    await cluster.until_ready()
