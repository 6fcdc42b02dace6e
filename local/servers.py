"""The Kafka and ClickHouse of a local stack: which ports they have, and how each is known to be the one just started.

Given AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS or AXONSTREAM_CLICKHOUSE_URL, those servers are used in place of local ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from aiokafka.errors import KafkaError

from axonstream.kafka.cluster_id import cluster_id
from axonstream.local.free_ports import free_port, listens_on
from axonstream.local.kafka_broker import kept_cluster_id
from axonstream.local.supervised_part import PartSpec
from axonstream.settings.settings import Settings

_KAFKA, _CLICKHOUSE = "kafka", "clickhouse"
_LOOPBACK = "127.0.0.1"


class LocalServers:
    """Chooses ports when it is made, and again whenever one was taken before it was bound (`move`).

    `settings` always name where the servers are. `names` are those of the servers that are to be started.
    """

    def __init__(self, settings: Settings, data_dir: Path, kafka_port: int, clickhouse_port: int) -> None:
        self._data_dir = data_dir
        wanted = {_KAFKA: kafka_port, _CLICKHOUSE: clickhouse_port}
        fields = {_KAFKA: "kafka_bootstrap_servers", _CLICKHOUSE: "clickhouse_url"}
        self.names = [name for name, field in fields.items() if field not in settings.model_fields_set]
        self._ports = {name: free_port(wanted[name]) for name in self.names}
        self._settings = settings

    @property
    def settings(self) -> Settings:
        return self._settings.model_copy(update=self.addresses())

    def addresses(self) -> dict[str, object]:
        """The settings that name what is started here."""
        found: dict[str, object] = {}
        if _KAFKA in self._ports:
            found["kafka_bootstrap_servers"] = f"{_LOOPBACK}:{self._ports[_KAFKA]}"
        if _CLICKHOUSE in self._ports:
            found["clickhouse_url"] = f"http://{_LOOPBACK}:{self._ports[_CLICKHOUSE]}"
        return found

    def move(self, name: str) -> tuple[int, int]:
        """Choose another port for the server, if another program has its port. Returns the one before and the new one.

        They are equal when it was the port of Kafka's controller, which is chosen anew for every start.
        """
        before = self._ports[name]
        self._ports[name] = free_port(before)
        return before, self._ports[name]

    def spec(self, name: str, environment: Mapping[str, str], login: Mapping[str, str]) -> PartSpec:
        port = self._ports[name]
        if name == _KAFKA:
            controller = free_port()
            arguments = (_KAFKA, "--port", str(port), "--controller-port", str(controller))
            return PartSpec(
                name, arguments, environment, (port, controller), probe=self._kafka_probe(port), stop_grace_s=4
            )
        arguments = (_CLICKHOUSE, "--port", str(port))
        return PartSpec(name, arguments, {**environment, **login}, (port,), stop_grace_s=6)

    def _kafka_probe(self, port: int) -> Callable[[int], Awaitable[bool]]:
        async def answers(pid: int) -> bool:
            """Whether the broker that answers is this process, and serves the log of our data directory."""
            if not listens_on(pid, port):
                return False
            try:
                return await cluster_id(self.settings) == kept_cluster_id(self._data_dir / _KAFKA)
            except KafkaError:
                return False

        return answers
