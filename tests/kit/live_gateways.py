"""Gateways as processes on topics of their own, for live streams: nothing else of the pipeline runs."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from uuid import uuid4

from axonstream.kafka.topic_admin import make_topics
from axonstream.local.free_ports import free_port
from axonstream.settings.settings import Settings
from kit.gateway_process import gateway_process

KEYS = "ak_local=1,ak_other=2"


class LiveGateways:
    """`urls[i]` is served by `processes[i]`, which nobody but `restart` starts again."""

    def __init__(self, settings: Settings, number: int, stack: ExitStack) -> None:
        self.settings = settings
        self._ports = [free_port() for _ in range(number)]
        self._stack = stack
        self.urls = [f"http://127.0.0.1:{port}" for port in self._ports]
        self.processes = self._start(range(number))

    def _start(self, numbers: Iterable[int]) -> list[subprocess.Popen[str]]:
        """Gateways on the ports of these numbers, ready."""
        running = [gateway_process(self.settings, self._ports[at], api_keys=KEYS) for at in numbers]
        started = [self._stack.enter_context(each) for each in running]
        for _, printed in started:
            if printed.readline() != "ready gateway\n":
                raise AssertionError("the gateway did not start")
        return [process for process, _ in started]

    def kill(self, at: int) -> None:
        """kill -9."""
        self.processes[at].kill()
        self.processes[at].wait()

    def restart(self, at: int) -> None:
        """kill -9, and another on the same port."""
        self.kill(at)
        [self.processes[at]] = self._start([at])


@contextmanager
def live_gateways(
    kafka_bootstrap: str, number: int = 1, partitions: int = 3, **settings: object
) -> Generator[LiveGateways]:
    """So many gateways of one installation, ready; killed at the end."""
    given = {"topic_partitions": partitions, "topic_prefix": f"t{uuid4().hex[:8]}-"} | settings
    made = Settings.model_validate({"kafka_bootstrap_servers": kafka_bootstrap, **given})
    asyncio.run(make_topics(made))
    with ExitStack() as stack:
        yield LiveGateways(made, number, stack)
