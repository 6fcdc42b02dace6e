"""The whole product on one machine: kafka and clickhouse, topics and schema, then processors and sinks, then gateway.

The local ClickHouse asks for a password, which the parts get in their environment, where other users cannot see it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from axonstream.deploy.errors import DeployError
from axonstream.deploy.init import initialise
from axonstream.kafka.errors import ProducerError
from axonstream.local.clickhouse_login import kept_password, write_login
from axonstream.local.endpoints import Endpoints, endpoints_file, write_endpoints
from axonstream.local.errors import PartFailedError, PortTakenError
from axonstream.local.free_ports import free_port, is_free
from axonstream.local.kafka_jars import kafka_classpath
from axonstream.local.mended import Mended
from axonstream.local.server_secret import kept_secret
from axonstream.local.servers import LocalServers
from axonstream.local.supervised_part import PartSpec, SupervisedPart
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import SinkError

PORTS_TRIED = 5


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What `axonstream up` was asked for; a port of 0 means any free one.

    `waits`: what only a person can decide keeps the servers running until it is decided; without it the start fails.
    """

    data_dir: Path
    gateway_port: int = 8080
    kafka_port: int = 9092
    clickhouse_port: int = 8123
    processors: int = 1
    sinks: int = 1
    waits: bool = True


class LocalStack:
    """Starts the servers, then topics and schema, the workers, and the gateway; stops them in reverse.

    `say` gets a line for every start and restart. The data directory must be held (see DataDirectory). Nothing is
    published before processors and sinks have accepted what is on Kafka: the gateway starts after them.
    """

    def __init__(self, options: StackOptions, settings: Settings, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._mended = Mended(options.data_dir)
        settings = settings.model_copy(update={"gateway_port": self._gateway_port(), "data_dir": options.data_dir})
        self._local = LocalServers(settings, options.data_dir, options.kafka_port, options.clickhouse_port)
        if "kafka" in self._local.names:  # nobody else sets anything on its topics: without the setting it is off again
            settings = settings.model_copy(update={"kafka_flush_messages": settings.kafka_flush_messages or 0})
        self._local_clickhouse = "clickhouse" in self._local.names
        if self._local_clickhouse:
            password = settings.clickhouse_password.get_secret_value() or kept_password(options.data_dir)
            settings = settings.model_copy(update={"clickhouse_password": SecretStr(password)})
        if not settings.server_secret.get_secret_value():
            settings = settings.model_copy(update={"server_secret": SecretStr(kept_secret(options.data_dir))})
        self._settings = settings
        self._password = settings.clickhouse_password.get_secret_value()
        self._login = {"AXONSTREAM_CLICKHOUSE_PASSWORD": self._password}
        self._running: list[SupervisedPart] = []
        self._lost = asyncio.Event()
        self._lost_because = ""

    @property
    def data_dir(self) -> Path:
        return self._options.data_dir

    @property
    def settings(self) -> Settings:
        """With the addresses of the servers that were started."""
        return self._settings.model_copy(update=self._local.addresses())

    @property
    def url(self) -> str:
        return self._settings.local_gateway_url

    async def start(self) -> None:
        """Returns when the whole way is ready. Raises DeployError or the error of `initialise`; then stop it."""
        if "kafka" in self._local.names:
            await asyncio.to_thread(kafka_classpath, Path.home() / ".cache" / "axonstream")
        await self._together([self._start_server(name) for name in self._local.names])
        if self._local_clickhouse:
            write_login(self._options.data_dir, self.settings.clickhouse_url, self._password)
        self._write_endpoints()  # commands that mend what keeps a worker from starting find the servers by them
        await self._initialise()
        workers = [self._processor(n) for n in range(self._options.processors)]
        workers += [self._sink(n) for n in range(self._options.sinks)]
        await self._start(workers)
        await self._start_gateway()
        self._write_endpoints()

    async def lost(self) -> None:
        """Raises PartFailedError once a server cannot have its port again: what listens there now is not ours."""
        await self._lost.wait()
        raise PartFailedError(self._lost_because)

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

    async def _initialise(self) -> None:
        self._say("preparing topics and schema")
        while True:
            before = self._mended.mark()
            try:
                return await initialise(self.settings)
            except (DeployError, ProducerError, SinkError) as error:
                if not self._options.waits or not self._local.names:
                    raise
                self._say(f"topics and schema are not as they must be: {error}\n  {self._mended.words()}")
            await self._mended.since(before)
            self._say("preparing topics and schema once more")

    async def _start_server(self, name: str) -> None:
        def move() -> None:
            before, port = self._local.move(name)
            if port != before:
                self._say(f"{name}: port {before} was taken meanwhile; using {port}")

        await self._on_a_free_port(
            lambda: self._local.spec(name, self._environment(), self._login), move, port_lost=self._lose
        )

    async def _start_gateway(self) -> None:
        def move() -> None:
            before = self._settings.gateway_port
            if self._options.gateway_port:
                raise PartFailedError(_taken(before))
            self._settings = self._settings.model_copy(update={"gateway_port": free_port()})
            self._say(f"gateway: port {before} was taken meanwhile; using {self._settings.gateway_port}")

        await self._on_a_free_port(self._gateway, move)

    async def _on_a_free_port(
        self, spec: Callable[[], PartSpec], move: Callable[[], None], port_lost: Callable[[str], None] | None = None
    ) -> None:
        """A port is chosen before it is bound: when another program was faster, `move` chooses the next."""
        for left in reversed(range(PORTS_TRIED)):
            part = self._part(spec(), port_lost)
            try:
                await self._start_part(part)
            except PortTakenError:
                self._running.remove(part)
                await part.stop()
                if not left:
                    raise
                move()
            else:
                break

    async def _start(self, specs: Iterable[PartSpec]) -> None:
        await self._together([self._start_part(self._part(spec)) for spec in specs])

    async def _together(self, starts: Iterable[Coroutine[Any, Any, None]]) -> None:
        """All of them at once; when one fails, the others are not waited for."""
        ready = [asyncio.ensure_future(start) for start in starts]
        try:
            await asyncio.gather(*ready)
        finally:
            for task in ready:
                task.cancel()
            await asyncio.gather(*ready, return_exceptions=True)

    def _part(self, spec: PartSpec, port_lost: Callable[[str], None] | None = None) -> SupervisedPart:
        return SupervisedPart(spec, self._options.data_dir, self._say, port_lost)

    async def _start_part(self, part: SupervisedPart) -> None:
        self._say(f"starting {part.spec.name}")
        self._running.append(part)
        await part.start()

    def _lose(self, why: str) -> None:
        self._lost_because = f"{why}: stop that program, or start again, which picks another port"
        self._lost.set()

    def _environment(self) -> dict[str, str]:
        own = {name: getattr(self._settings, name) for name in ("gateway_port", "data_dir")}
        return {f"AXONSTREAM_{name.upper()}": str(value) for name, value in (own | self._local.addresses()).items()}

    def _write_endpoints(self) -> None:
        settings = self.settings
        write_endpoints(
            self._options.data_dir,
            Endpoints(
                gateway_url=self.url,
                kafka_bootstrap_servers=settings.kafka_bootstrap_servers,
                clickhouse_url=settings.clickhouse_url,
                api_key=next(iter(settings.tenants_by_key()), None),
                clickhouse_password=self._password if self._local_clickhouse else None,
            ),
        )

    def _gateway_port(self) -> int:
        wanted = self._options.gateway_port
        if wanted and not is_free(wanted):
            raise PartFailedError(_taken(wanted))
        return wanted or free_port()

    def _gateway(self) -> PartSpec:
        secrets = {"AXONSTREAM_SERVER_SECRET": self._settings.server_secret.get_secret_value()}
        if "api_keys" in self._settings.model_fields_set:
            secrets["AXONSTREAM_API_KEYS"] = self._settings.api_keys.get_secret_value()
        environment = {**self._environment(), **self._login, **secrets}
        ports = (self._settings.gateway_port,) if self._settings.gateway_host in ("127.0.0.1", "0.0.0.0") else ()
        return PartSpec("gateway", ("gateway",), environment, ports, stop_grace_s=5)

    def _processor(self, number: int) -> PartSpec:
        name = f"processor-{number}"
        environment = {**self._environment(), "AXONSTREAM_PROCESSOR_INSTANCE": name}
        return PartSpec(name, ("processor",), environment, waits=self._options.waits)

    def _sink(self, number: int) -> PartSpec:
        name = f"sink-{number}"
        environment = {**self._environment(), **self._login, "AXONSTREAM_SINK_INSTANCE": name}
        return PartSpec(name, ("sink",), environment, waits=self._options.waits)


def _taken(port: int) -> str:
    return f"port {port} is taken: choose another one with --port (0 picks a free one)"
