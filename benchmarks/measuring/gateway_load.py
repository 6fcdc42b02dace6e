"""One turn of a server under load: the load generator beside it, and the server's own CPU meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from benchmarks.measuring.http_load import Load
from benchmarks.measuring.subject_process import SubjectProcess, subject_process
from benchmarks.peers.job import LoadJob, job_text


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the senders saw, and the CPU that the server used for it."""

    load: Load
    cpu_s: float


def loaded(server: SubjectProcess, job: LoadJob) -> Loaded:
    """Send it all, and wait for the last answer."""
    with subject_process(["-m", "benchmarks.measuring.http_load", job_text(job)]) as generator:
        generator.until_line("loading")
        cpu = server.cpu_s()
        load = Load(**orjson.loads(generator.until_line("{")))
        return Loaded(load, server.cpu_s() - cpu)
