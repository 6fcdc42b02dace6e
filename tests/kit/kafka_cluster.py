"""Real Kafka brokers of a test's own: one, or three that replicate everything, each a process that can be hurt."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from axonstream.local.free_ports import free_port, is_free
from axonstream.local.kafka_broker import DATA, new_cluster_id
from kit.java_archive import use_java_archive
from kit.until import until

READY_S = 90.0
STOP_S = 30.0
_OFFSETS = "__consumer_offsets"
_BECOME = """
import sys
from pathlib import Path
from axonstream.local.kafka_broker import become_broker
become_broker(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
"""
# Everything internal on every broker; a dead one is noticed in 4 s instead of 9.
_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={data_dir}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
default.replication.factor={replicas}
offsets.topic.num.partitions=4
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={replicas}
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor={replicas}
log.cleaner.dedupe.buffer.size=8388608
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
"""


class KafkaBroker:
    """One node, broker and controller, that keeps its port and its data from one life to the next."""

    def __init__(self, directory: Path, node: int, port: int, cluster_id: str, properties: str) -> None:
        self.node = node
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.directory = directory
        self._command = [sys.executable, "-c", _BECOME, str(directory), properties, cluster_id]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Not waited for; see `KafkaCluster.until_ready`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "output.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """kill -9, also of a frozen one."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: leadership is handed over and the log closed; kill -9 when that takes too long."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def ended(self) -> bool:
        """Whether it is not running, of itself or by a call."""
        return self._process is None or self._process.poll() is not None

    def output(self) -> str:
        """What it logged in all its lives."""
        return (self.directory / "output.log").read_text(errors="replace")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class KafkaCluster:
    """The brokers, and who of them does what. Nothing here changes the cluster but through a broker."""

    def __init__(self, directory: Path, brokers: int) -> None:
        nodes = range(1, brokers + 1)
        ports = {node: (new_port(), new_port()) for node in nodes}
        voters = ",".join(f"{node}@127.0.0.1:{controller}" for node, (_, controller) in ports.items())
        cluster_id = new_cluster_id()
        self.brokers: dict[int, KafkaBroker] = {}
        for node, (port, controller_port) in ports.items():
            at = directory.resolve() / f"kafka-{node}"
            properties = _PROPERTIES.format(
                node=node,
                voters=voters,
                port=port,
                controller_port=controller_port,
                data_dir=at / DATA,
                replicas=brokers,
            )
            self.brokers[node] = KafkaBroker(at, node, port, cluster_id, properties)
        self.bootstrap_servers = ",".join(broker.address for broker in self.brokers.values())

    async def until_ready(self) -> None:
        """Every broker answers and knows of every other."""
        for broker in self.brokers.values():
            await until(lambda broker=broker: self._knows_all(broker), f"broker {broker.node} is ready", READY_S)

    async def until_well(self) -> None:
        """All run again that a test has left dead or frozen, and have every copy of the groups' offsets."""
        for broker in self.brokers.values():
            if broker.ended():
                broker.start()
            else:
                broker.thaw()
        await self.until_ready()
        if _OFFSETS in await self._topics():
            await self.until_in_sync([_OFFSETS])

    async def until_in_sync(self, topics: Sequence[str]) -> None:
        """Every replica of every partition of `topics` is in the ISR, by the word of every broker."""

        async def in_sync(broker: KafkaBroker) -> bool:
            partitions = await self._partitions(topics, broker.address)
            return bool(partitions) and all(len(one["isr"]) == len(self.brokers) for one in partitions)

        for broker in self.brokers.values():
            await until(lambda broker=broker: in_sync(broker), f"all in sync for broker {broker.node}", READY_S)

    async def until_replicated(self, topic: str, partition: int, nodes: set[int]) -> None:
        """Exactly these replicas are in the ISR."""

        async def are_in_sync() -> bool:
            found = await self._partitions([topic], self.bootstrap_servers)
            return any(one["partition"] == partition and set(one["isr"]) == nodes for one in found)

        await until(are_in_sync, f"{topic} {partition} is in sync on {nodes}", READY_S)

    async def until_led_by(self, topic: str, partition: int, broker: KafkaBroker) -> None:
        async def leads() -> bool:
            found = await self._partitions([topic], self.bootstrap_servers)
            return any(one["partition"] == partition and one["leader"] == broker.node for one in found)

        await until(leads, f"{topic} {partition} is led by broker {broker.node}", READY_S)

    async def leader_of(self, topic: str, partition: int = 0) -> KafkaBroker:
        [leader] = [
            one["leader"]
            for one in await self._partitions([topic], self.bootstrap_servers)
            if one["partition"] == partition
        ]
        return self.brokers[leader]

    async def coordinator_of(self, group: str) -> KafkaBroker:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            return self.brokers[await admin.find_coordinator(group)]
        finally:
            await admin.close()

    async def _knows_all(self, broker: KafkaBroker) -> bool:
        assert not broker.ended(), f"broker {broker.node} ended:\n{broker.output()[-3000:]}"
        if is_free(broker.port):
            return False
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.address, request_timeout_ms=2000)
        try:
            await admin.start()
            return len((await admin.describe_cluster())["brokers"]) == len(self.brokers)
        except KafkaError:
            return False
        finally:
            await admin.close()

    async def _topics(self) -> list[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            return await admin.list_topics()
        finally:
            await admin.close()

    async def _partitions(self, topics: Sequence[str], bootstrap_servers: str) -> list[dict[str, Any]]:
        """Of all `topics`; none when no broker answers in time."""
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=2000)
        try:
            await admin.start()
            described = await admin.describe_topics(list(topics))
        except KafkaError:
            return []
        finally:
            await admin.close()
        return [partition for topic in described for partition in topic["partitions"]]


@contextmanager
def kafka_cluster(directory: Path, brokers: int) -> Generator[KafkaCluster]:
    """`brokers` ready ones; all are killed at the end."""
    use_java_archive()
    cluster = KafkaCluster(directory, brokers)
    try:
        for broker in cluster.brokers.values():
            broker.start()
        asyncio.run(cluster.until_ready())
        yield cluster
    finally:
        for broker in cluster.brokers.values():
            broker.kill()


_given: set[int] = set()


def new_port() -> int:
    """A free port that this function has not given before."""
    while (port := free_port()) in _given:
        pass
    _given.add(port)
    return port
