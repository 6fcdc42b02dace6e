"""Topics and a database of axonstream's own for one turn, on an events topic that all subjects share."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic
from uuid import uuid4

from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from benchmarks.measuring.servers import Servers
from benchmarks.measuring.subject_process import SubjectProcess, subject_process

PARTITIONS = 16


class Installation:
    """`events` names the shared topic; everything else is new, so that nothing of another turn is in it."""

    def __init__(self, servers: Servers, events: str = "") -> None:
        name = uuid4().hex[:8]
        self.servers = servers
        self.settings = Settings(
            kafka_bootstrap_servers=servers.kafka,
            clickhouse_url=servers.clickhouse,
            topic_prefix=f"b{name}-",
            clickhouse_database=f"b{name}",
            topic_partitions=PARTITIONS,
            log_level="WARNING",
        )
        self.topics = Topics(self.settings.topic_prefix)
        self.events = events or self.topics.events

    def environment(self) -> dict[str, str]:
        """The settings as the parts read them."""
        names = ("kafka_bootstrap_servers", "clickhouse_url", "topic_prefix", "clickhouse_database", "topic_partitions")
        given = {f"AXONSTREAM_{name.upper()}": str(getattr(self.settings, name)) for name in (*names, "log_level")}
        # As `axonstream up` does: what is killed and started again has its partitions at once.
        return {**given, "AXONSTREAM_PROCESSOR_INSTANCE": "processor-0", "AXONSTREAM_SINK_INSTANCE": "sink-0"}

    def initialise(self) -> None:
        """Topics, schema and epoch."""
        with self.part("init") as part:
            part.until_line("topics and schema are ready")

    @contextmanager
    def part(self, name: str, **environment: str) -> Generator[SubjectProcess]:
        """A part of the product as a process: `processor`, `sink`, `gateway` or `init`."""
        command = ["-m", "benchmarks.measuring.part", name, self.events]
        with subject_process(command, self.environment() | environment) as process:
            yield process

    def processor_ready_s(self) -> float:
        """How long a processor takes from its start until it is ready; it is ended then."""
        started = monotonic()
        with self.part("processor") as process:
            process.until_line("ready processor")
            took = monotonic() - started
            process.end()
        return took
