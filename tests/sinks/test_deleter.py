"""When the deleter begins, what it sends, and when it calls a deletion finished. Kafka and ClickHouse are scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from clickhouse_connect.driver.exceptions import DatabaseError

from axonstream.clickhouse.client import connect_blocking
from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.contract.deletion import Deletion, Late
from axonstream.kafka.topic_identity import TopicIdentity
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.deleting import deleter as deleter_module
from axonstream.sinks.deleting.control_deletions import ControlDeletions
from axonstream.sinks.deleting.deleted_rows import Epoch, batches
from axonstream.sinks.deleting.deleter import Deleter

LOG = "the log"


class ScriptedClickHouse:
    """Rows of each table that match; an ALTER takes `mutations` looks until its rows are gone."""

    def __init__(self) -> None:
        self.rows = {"events_log": True, "dead_letters": False, "steps_log": False, "trace_summaries": True}
        self.under_way: dict[str, int] = {}
        self.finished: list[int] = []
        self.altered: list[str] = []
        self.absent: list[str] = []
        self.fails = False
        self.statements: list[str] = []
        self.settings: list[dict[str, Any]] = []

    async def query(self, sql: str, parameters: dict[str, Any] | None = None) -> Any:
        return SimpleNamespace(result_rows=self._rows(sql, parameters or {}))

    def _rows(self, sql: str, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
        if self.fails:
            raise OSError("away")
        if "finished_deletions" in sql:
            return [(number,) for number in self.finished]
        if "topic_epochs" in sql:
            return [(1, LOG, 0)]
        if "lost_ends" in sql:
            return []
        if "system.mutations" in sql:
            table = parameters["table"]
            if table not in self.under_way:
                return []
            self.under_way[table] -= 1
            if not self.under_way[table]:
                del self.under_way[table]
                self.rows[table] = False
            return [("",)]
        table = sql.split(" FROM ")[1].split(maxsplit=1)[0]
        if "of_range" in sql:
            return [(1, 0, 0, 3)] if self.rows[table] else []
        return [(1,)] if self.rows[table] else []

    async def command(self, sql: str, settings: dict[str, Any]) -> None:
        if sql.startswith("INSERT INTO absent_offsets"):
            self.absent.append(sql.split("AS at FROM ")[1].split(maxsplit=1)[0])
            return
        self.settings.append(settings)
        self.statements.append(sql)
        table = sql.split()[2].removeprefix("`axonstream`.")
        assert table in self.absent or table == "trace_summaries", "rows that go must not count as lost"
        self.altered.append(table)
        self.under_way[table] = 3

    async def insert(self, table: str, rows: Sequence[Sequence[int]], **_: Any) -> None:
        assert table == "finished_deletions"
        assert not any(self.rows.values()), "finished while rows are there"
        self.finished += [number for (number,) in rows]


class Stage:
    """A deleter, and what it sees; the partitions are 0 and 1."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        async def identities(*_: Any) -> list[TopicIdentity]:
            return [TopicIdentity("cluster", "agent-events", LOG)]

        monkeypatch.setattr(deleter_module, "topic_identities", identities)
        monkeypatch.setattr(deleter_module, "POLL_S", 0)
        self.client = ScriptedClickHouse()
        self.control = ControlDeletions(Settings())
        self.owns = True
        self.now = 0.0
        self.stored = {0: 0, 1: 0}
        self.folded = {0: 0, 1: 0}
        coordinator = SimpleNamespace(fetch_committed_offsets=self._committed)
        parts: Any = (
            self.client,
            SimpleNamespace(_coordinator=coordinator),
            SimpleNamespace(owns=lambda _: self.owns),
            self.control,
        )
        self.deleter = Deleter(Settings(**settings), *parts, clock=lambda: self.now)

    async def _committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Any]:
        return {
            tp: SimpleNamespace(offset=self.stored[tp.partition], metadata="")
            if tp.topic == "agent-events"
            else SimpleNamespace(offset=0, metadata=str(self.folded[tp.partition]))
            for tp in partitions
        }

    def ask(self, number: int, *bounds: int) -> None:
        deletion = Deletion(number, ("tr_a",), Late.REFUSED, 1, LOG if bounds else "", bounds)
        self.control.recorded[number] = ("1", deletion)
        self.control.deleted.put("1", deletion)

    def reach(self, stored: tuple[int, int], folded: tuple[int, int]) -> None:
        self.stored, self.folded = dict(enumerate(stored)), dict(enumerate(folded))

    def look(self) -> list[int]:
        asyncio.run(self.deleter.look())
        return self.client.finished


def test_it_begins_when_every_partition_is_stored_and_folded_beyond_the_marker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before that, rows and summaries from before the marker are still on their way into the tables."""
    stage = Stage(monkeypatch)
    stage.ask(7, 5, 9)
    for stored, folded in (((6, 9), (6, 10)), ((6, 10), (5, 10)), ((5, 10), (6, 10)), ((0, 0), (0, 0))):
        stage.reach(stored, folded)
        assert stage.look() == []
        assert stage.client.altered == []
    stage.reach((6, 10), (6, 10))
    assert stage.look() == [7]
    assert stage.client.altered == ["events_log", "trace_summaries"]  # once each, and only where rows are
    assert stage.client.settings == [{}, {}]
    assert not any("ON CLUSTER" in sql for sql in stage.client.statements)


def test_a_deletion_without_markers_and_one_of_another_member_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.reach((99, 99), (99, 99))
    stage.ask(7)
    assert stage.look() == []
    stage.ask(7, 5, 9)
    stage.owns = False
    assert stage.look() == []
    stage.owns = True
    assert stage.look() == [7]


def test_what_comes_during_the_pause_is_deleted_together_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, deletion_pause_s=10)
    stage.reach((99, 99), (99, 99))
    stage.ask(1, 5, 9)
    assert stage.look() == [1]
    stage.ask(2, 6, 9)
    stage.ask(3, 7, 9)
    stage.client.rows["events_log"] = True
    stage.now = 9.9
    assert stage.look() == [1]
    stage.now = 10.0
    assert stage.look() == [1, 2, 3]
    assert stage.client.altered == ["events_log", "trace_summaries", "events_log"]


def test_a_clickhouse_that_has_forgotten_a_deletion_deletes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.reach((99, 99), (99, 99))
    stage.ask(1, 5, 9)
    assert stage.look() == [1]
    stage.client.finished.clear()  # a backup was restored
    stage.client.rows["events_log"] = True
    stage.now = 60.0
    assert stage.look() == [1]
    assert stage.client.altered.count("events_log") == 2


def test_it_dies_and_another_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Stage(monkeypatch), Stage(monkeypatch)
    for stage in (first, second):
        stage.reach((99, 99), (99, 99))
        stage.ask(1, 5, 9)
    first.client.under_way = {"events_log": 2}
    first.client.fails = True
    with pytest.raises(OSError, match="away"):
        first.look()
    second.client.under_way = {"events_log": 2}  # the statement of the first is still running
    assert second.look() == [1]
    assert second.client.altered == ["trace_summaries"]


def test_on_a_cluster_every_statement_that_deletes_is_for_all_of_it_and_waits_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, clickhouse_cluster="prod")
    stage.reach((99, 99), (99, 99))
    stage.client.rows["dead_letters"] = True
    stage.ask(1, 5, 9)
    assert stage.look() == [1]
    assert stage.client.altered == ["events_log", "dead_letters", "trace_summaries"]
    for table, sql in zip(stage.client.altered, stage.client.statements, strict=True):
        assert sql.startswith(f"ALTER TABLE `axonstream`.{table} ON CLUSTER `prod` DELETE WHERE ")
    assert stage.client.settings == [{"mutations_sync": 2}] * 3


@pytest.mark.services
def test_clickhouse_reads_the_statements_of_a_cluster_as_they_are_meant(
    monkeypatch: pytest.MonkeyPatch, server_settings: Settings
) -> None:
    """No cluster runs here: its engine says how it reads the statement, and refuses it for want of a cluster."""
    stage = Stage(monkeypatch, clickhouse_cluster="prod", clickhouse_database=server_settings.clickhouse_database)
    deleted = DeletedTraces()
    odd = Deletion(1, ("tr_a", "it's"), Late.STORED, 1, LOG, (5, 9))
    deleted.put("1", odd)
    (batch,) = batches([("1", odd)], [Epoch(1, LOG, 0)], Topics(), deleted)
    client = connect_blocking(server_settings)
    try:
        for table, condition in batch.conditions.items():
            sql = stage.deleter.statement(table, condition)
            read = str(client.command("SELECT formatQuerySingleLine({sql:String})", parameters={"sql": sql}))
            name = f"{server_settings.clickhouse_database}.{table}"
            assert read.startswith(f"ALTER TABLE {name} ON CLUSTER prod (DELETE WHERE "), read
            with pytest.raises(DatabaseError):
                client.command(sql)
    finally:
        client.close()
