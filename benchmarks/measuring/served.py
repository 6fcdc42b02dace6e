"""The gateway, or what it is compared with, listening on a port of its own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from axonstream.local.free_ports import free_port
from benchmarks.measuring.installation import Installation
from benchmarks.measuring.subject_process import SubjectProcess, subject_process
from benchmarks.peers.job import ServeJob, job_text

GATEWAY = "axonstream gateway"


@contextmanager
def serving(subject: str, way: str, installation: Installation) -> Generator[tuple[SubjectProcess, int]]:
    """The process and its port; `way` is that of `benchmarks.peers.other_gateways`, unless it is GATEWAY itself."""
    port = free_port()
    if subject.startswith(GATEWAY):
        with installation.part("gateway", AXONSTREAM_GATEWAY_PORT=str(port)) as server:
            server.until_line("ready gateway")
            yield server, port
        return
    job = ServeJob(way, port, installation.servers.kafka, installation.events)
    with subject_process(["-m", "benchmarks.peers.other_gateways", job_text(job)]) as server:
        server.until_line("ready gateway")
        yield server, port
