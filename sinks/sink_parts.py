"""What a sink has once, and both of its flows use."""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.writer import DeadLetters
from axonstream.sinks.deleting.control_deletions import ControlDeletions
from axonstream.sinks.writing.table_writer import TableWriter


@dataclass(frozen=True, slots=True)
class SinkParts:
    settings: Settings
    client: AsyncClient
    writer: TableWriter
    dead_letters: DeadLetters
    deletions: ControlDeletions
