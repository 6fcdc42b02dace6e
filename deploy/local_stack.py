"""The whole product on one machine: kafka and clickhouse, topics and schema, then processors, sinks and gateway.

Given AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS or AXONSTREAM_CLICKHOUSE_URL, those servers are used in place of local ones.
The local ClickHouse asks for a password, which the parts get in their environment, where other users cannot see it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from deploy.clickhouse_login import kept_password, write_login
from deploy.endpoints import Endpoints, endpoints_file, write_endpoints
from deploy.errors import PartFailedError
from deploy.free_ports import free_port, is_free
from deploy.init import initialise
from deploy.kafka_jars import kafka_classpath
from deploy.server_secret import kept_secret
from deploy.supervised_part import PartSpec, SupervisedPart
from producers.kafka_client import kafka_options
from producers.settings import Settings


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What `axonstream up` was asked for; a port of 0 means any free one."""

    data_dir: Path
    gateway_port: int = 8080
    kafka_port: int = 9092
    clickhouse_port: int = 8123
    processors: int = 1
    sinks: int = 1


class LocalStack:
    """Starts the servers, and all other parts together once topics and schema are there; stops them in reverse.

    `say` gets a line for every start and restart. The data directory must be held (see DataDirectory).
    """

    def __init__(self, options: StackOptions, settings: Settings, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        local_kafka = "kafka_bootstrap_servers" not in settings.model_fields_set
        local_clickhouse = "clickhouse_url" not in settings.model_fields_set
        changes: dict[str, object] = {"gateway_port": self._gateway_port(), "data_dir": options.data_dir}
        if local_kafka:
            changes["kafka_bootstrap_servers"] = f"127.0.0.1:{free_port(options.kafka_port)}"
        if local_clickhouse:
            changes["clickhouse_url"] = f"http://127.0.0.1:{free_port(options.clickhouse_port)}"
            password = settings.clickhouse_password.get_secret_value() or kept_password(options.data_dir)
            settings = settings.model_copy(update={"clickhouse_password": SecretStr(password)})
        if not settings.server_secret.get_secret_value():
            settings = settings.model_copy(update={"server_secret": SecretStr(kept_secret(options.data_dir))})
        self.settings = settings.model_copy(update=changes)
        self._environment = {f"AXONSTREAM_{name.upper()}": str(value) for name, value in changes.items()}
        self._password = self.settings.clickhouse_password.get_secret_value()
        self._login = {"AXONSTREAM_CLICKHOUSE_PASSWORD": self._password}
        self._local_clickhouse = local_clickhouse
        self._servers = [
            *([self._kafka()] if local_kafka else []),
            *([self._clickhouse()] if local_clickhouse else []),
        ]
        self._workers = [self._processor(n) for n in range(options.processors)]
        self._workers += [self._sink(n) for n in range(options.sinks)]
        self._running: list[SupervisedPart] = []

    @property
    def data_dir(self) -> Path:
        return self._options.data_dir

    @property
    def url(self) -> str:
        return self.settings.local_gateway_url

    async def start(self) -> None:
        """Returns when the whole way is ready. Raises DeployError or the error of `initialise`; then stop it."""
        if any(spec.name == "kafka" for spec in self._servers):
            await asyncio.to_thread(kafka_classpath, Path.home() / ".cache" / "axonstream")
        if self._local_clickhouse:
            write_login(self._options.data_dir, self.settings.clickhouse_url, self._password)
        await self._start(self._servers)
        self._say("preparing topics and schema")
        await initialise(self.settings)
        secrets = {"AXONSTREAM_SERVER_SECRET": self.settings.server_secret.get_secret_value()}
        if "api_keys" in self.settings.model_fields_set:
            secrets["AXONSTREAM_API_KEYS"] = self.settings.api_keys.get_secret_value()
        gateway = PartSpec("gateway", ("gateway",), self._environment | self._login | secrets, stop_grace_s=5)
        await self._start([*self._workers, gateway])
        write_endpoints(
            self._options.data_dir,
            Endpoints(
                gateway_url=self.url,
                kafka_bootstrap_servers=self.settings.kafka_bootstrap_servers,
                clickhouse_url=self.settings.clickhouse_url,
                api_key=next(iter(self.settings.tenants_by_key()), None),
                clickhouse_password=self._password if self._local_clickhouse else None,
            ),
        )

    async def stop(self) -> None:
        """The gateway first, so that nothing new comes in; then the workers; the servers last."""
        endpoints_file(self._options.data_dir).unlink(missing_ok=True)
        failures: list[BaseException] = []
        for names in (("gateway",), ("processor", "sink"), ("clickhouse", "kafka")):
            parts = [part for part in self._running if part.spec.name.partition("-")[0] in names]
            ended = await asyncio.gather(*(part.stop() for part in parts), return_exceptions=True)
            failures += [outcome for outcome in ended if outcome is not None]
        self._running.clear()
        if failures:
            raise PartFailedError(f"not everything could be stopped: {failures[0]!r}") from failures[0]

    async def _start(self, specs: Iterable[PartSpec]) -> None:
        """All of them at once; when one fails, the others are not waited for."""
        ready: list[asyncio.Task[None]] = []
        try:
            for spec in specs:
                self._say(f"starting {spec.name}")
                part = SupervisedPart(spec, self._options.data_dir, self._say)
                self._running.append(part)
                ready.append(asyncio.create_task(await part.launched()))
            await asyncio.gather(*ready)
        finally:
            for task in ready:
                task.cancel()
            await asyncio.gather(*ready, return_exceptions=True)

    def _gateway_port(self) -> int:
        wanted = self._options.gateway_port
        if wanted and not is_free(wanted):
            raise PartFailedError(f"port {wanted} is taken: choose another one with --port (0 picks a free one)")
        return wanted or free_port()

    def _kafka(self) -> PartSpec:
        port = self.settings.kafka_bootstrap_servers.rpartition(":")[2]
        arguments = ("kafka", "--port", port, "--controller-port", str(free_port()))
        return PartSpec("kafka", arguments, self._environment, probe=self._kafka_answers, stop_grace_s=4)

    def _clickhouse(self) -> PartSpec:
        port = self.settings.clickhouse_url.rpartition(":")[2]
        return PartSpec("clickhouse", ("clickhouse", "--port", port), self._environment | self._login, stop_grace_s=6)

    def _processor(self, number: int) -> PartSpec:
        name = f"processor-{number}"
        environment = {**self._environment, "AXONSTREAM_PROCESSOR_INSTANCE": name}
        return PartSpec(name, ("processor",), environment)

    def _sink(self, number: int) -> PartSpec:
        name = f"sink-{number}"
        return PartSpec(name, ("sink",), {**self._environment, **self._login, "AXONSTREAM_SINK_INSTANCE": name})

    async def _kafka_answers(self) -> bool:
        if is_free(int(self.settings.kafka_bootstrap_servers.rpartition(":")[2])):
            return False
        admin = AIOKafkaAdminClient(**kafka_options(self.settings), request_timeout_ms=2000)
        try:
            await admin.start()
        except KafkaError:
            return False
        finally:
            await admin.close()
        return True
