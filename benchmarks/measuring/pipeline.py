"""The whole product on the shared servers: gateway, processor and sink, each a process, and how far they are."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil

from axonstream.local.free_ports import free_port
from benchmarks.measuring.installation import Installation
from benchmarks.measuring.subject_process import SubjectProcess


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`parts` by name, Kafka and ClickHouse with them where they run on this machine."""

    installation: Installation
    port: int
    parts: dict[str, psutil.Process]

    def cpu_s(self) -> dict[str, float]:
        """Of each part so far."""
        return {name: _cpu_s(process) for name, process in self.parts.items()}


@contextmanager
def running_pipeline(installation: Installation) -> Generator[Pipeline]:
    """All parts, ready."""
    port = free_port()
    installation.initialise()
    with ExitStack() as stack:
        parts: dict[str, SubjectProcess] = {}
        for name in ("processor", "sink", "gateway"):
            part = stack.enter_context(installation.part(name, AXONSTREAM_GATEWAY_PORT=str(port)))
            part.until_line(f"ready {name}")
            parts[name] = part
        processes = {name: psutil.Process(part.pid) for name, part in parts.items()}
        for name, address in (
            ("kafka", f"tcp://{installation.servers.kafka}"),
            ("clickhouse", installation.servers.clickhouse),
        ):
            if found := _listening(urlsplit(address).port):
                processes[name] = found
        yield Pipeline(installation, port, processes)


def _listening(port: int | None) -> psutil.Process | None:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr[1] == port:
            return psutil.Process(connection.pid) if connection.pid else None
    return None


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
