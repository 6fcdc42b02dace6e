"""The names of topics and consumer groups, and the key that puts a trace on its partition."""

from __future__ import annotations

from dataclasses import dataclass

FOLDED_KEY = b"\x00\x00folded"  # of the changelog's notes; an earlier version takes it for a page of a state long gone
FENCE_KEY = b"\x00\x00fence"  # of the record that shuts out earlier owners of a changelog partition
REBUILD_KEY = b"\x00\x00rebuild"  # of the order to fold everything again
WATERMARK_KEY = b"watermark"  # a state key always holds a NUL, so no trace can have this key


@dataclass(frozen=True, slots=True)
class Topics:
    """All names that one installation uses on its Kafka; `prefix` lets several share a cluster."""

    prefix: str = ""

    @property
    def events(self) -> str:
        return f"{self.prefix}agent-events"

    @property
    def summaries(self) -> str:
        return f"{self.prefix}trace-summaries"

    @property
    def dead_letters(self) -> str:
        return f"{self.prefix}dead-letters"

    @property
    def control(self) -> str:
        """Keys, apps, channels, webhook endpoints, prices: compacted, one partition."""
        return f"{self.prefix}axonstream-control"

    @property
    def processor_app(self) -> str:
        """Faust app id, and so its consumer group."""
        return f"{self.prefix}axonstream-processor"

    @property
    def changelog(self) -> str:
        """Named as Faust names the changelog of the table `traces`."""
        return f"{self.processor_app}-traces-changelog"

    @property
    def sink_group(self) -> str:
        return f"{self.prefix}axonstream-sink"


def event_key(trace_id: str) -> bytes:
    """The Kafka key of an event: its trace, so that a trace is on one partition, in order."""
    return trace_id.encode()


def state_key(tenant_id: str, trace_id: str) -> bytes:
    """The key of a trace's state, changelog and summaries; tenant and trace hold no NUL (see record_validation)."""
    return f"{tenant_id}\x00{trace_id}".encode()
