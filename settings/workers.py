"""What processors and sinks are called, and what they may spend."""

from __future__ import annotations

from pydantic import Field

from axonstream.settings.part import PartSettings


class WorkerSettings(PartSettings):
    """Names, memory, batches and timeouts."""

    processor_instance: str = Field(
        default="",
        description="Name of this processor. No other processor may have it, and this one must keep it. When it "
        "restarts within the session timeout, it has its partitions back at once (static group "
        "membership). Without a name, Kafka sees host and process id, and the processor leaves its group "
        "when it stops.",
    )
    sink_instance: str = Field(default="", description="Name of this sink, as processor_instance.")
    trace_idle_s: float = Field(
        default=30 * 60,
        gt=0,
        description="Seconds without events after which a trace is evicted from the processor's memory.",
    )
    max_live_traces: int = Field(
        default=1_000_000,
        ge=1,
        description="Traces that one processor keeps in memory. Beyond it the longest idle traces are evicted.",
    )
    max_open_steps: int = Field(
        default=256,
        ge=1,
        le=300,
        description="Steps of one trace that may be open, or may lack their start. Beyond it the summary is not exact, "
        "and reads count the events themselves.",
    )
    session_timeout_ms: int = Field(
        default=10_000,
        ge=6000,
        description="Milliseconds without a heartbeat after which a member of a consumer group loses its partitions.",
    )
    sink_flush_ms: int = Field(
        default=50, ge=0, description="Shortest time between two INSERTs into one table, in milliseconds."
    )
    sink_max_rows: int = Field(default=100_000, ge=1, description="Rows of one INSERT.")
    sink_max_bytes: int = Field(default=64 << 20, ge=1, description="Bytes of one fetch from Kafka, and of one INSERT.")
    max_bad_events_per_minute: int = Field(
        default=10_000,
        ge=1,
        description="Invalid records per minute, topic and sink. Beyond it the sink stops with exit code 78.",
    )
    max_refused_in_a_row: int = Field(
        default=20,
        ge=1,
        description="Events that ClickHouse may refuse one after the other. Beyond it the sink stops with exit code "
        "78.",
    )
    dead_letter_timeout_ms: int = Field(
        default=60_000,
        ge=0,
        description="Milliseconds that a dead letter may wait for its topic. Then the sink stops with exit code 69.",
    )
    deletion_pause_s: float = Field(
        default=10,
        ge=0,
        description="Seconds between two deletions in ClickHouse. Requests that arrive in between are deleted "
        "together, because each deletion looks at every part of the tables. Use minutes on a large "
        "cluster.",
    )
    insert_timeout_ms: int = Field(
        default=5_000, ge=100, description="Milliseconds that one INSERT may take. It must be below session_timeout_ms."
    )
