"""DELETE of traces over HTTP: who may, what is written where, what reads and publishers are told meanwhile."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import pytest

from axonstream.contract.deletion import MOST_TRACES, Deletion, Late
from axonstream.gateway.control.api_keys import make_key
from axonstream.gateway.control.audit_entry import Actor
from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.records import ControlRecord, Kind, Place
from axonstream.gateway.deleting import deletions as deletions_module
from axonstream.gateway.deleting.deletions import Deletions
from axonstream.gateway.http.errors import UnavailableError
from axonstream.gateway.reading.being_deleted import BeingDeleted, BeingDeletedError
from axonstream.settings.settings import Settings
from kit.memory_control import MemoryControl
from kit.offline_gateway import MemoryMarkers, OfflineGateway

OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}
EVENT = {"identifier": "a", "payload": {}, "channel_id": 1, "traceId": "tr_1"}
A_DAY_MS = 24 * 3600 * 1000


def test_a_deletion_is_recorded_marked_and_audited(offline: OfflineGateway) -> None:
    answer = offline.send("DELETE", "/traces/tr_1")
    assert answer.status_code == 202
    assert answer.headers["X-Axonstream-Deleting"] == "true"
    body = answer.json()
    assert (body["status"], body["traces"], body["late"]) == ("deleting", 1, "refused")
    ((tenant_id, deletion),) = list(offline.control.data.deleted)
    assert (tenant_id, deletion.trace_ids, deletion.bounds) == ("1", ("tr_1",), (7, 7))
    assert [str(deletion.id)] == body["deletionIds"]
    (entry,) = [one for one in offline.control.entries if one.action == "traces.delete"]
    assert (entry.tenant_id, entry.subject) == ("1", "trace tr_1")
    assert entry.after == {"deletion": deletion.id, "late": "refused", "traces": ["tr_1"], "traces_deleted": 1}


@pytest.mark.slow
def test_a_trace_that_is_being_deleted_is_not_shown_and_says_so(offline: OfflineGateway) -> None:
    """From the record on, before its markers are acknowledged, and without a look into ClickHouse."""
    offline.markers.acknowledges = False
    offline.send("DELETE", "/traces/tr_1")
    for path in ("/traces/tr_1", "/traces/tr_1/summary", "/traces/tr_1/events"):
        answer = offline.send("GET", path)
        assert (answer.status_code, answer.headers.get("X-Axonstream-Deleting")) == (404, "true")
        assert "being deleted" in answer.json()["message"]
        assert offline.send("GET", path, headers=OTHER).status_code == 503  # nothing is there to be asked


def test_late_events_are_refused_with_words_and_those_of_other_traces_and_tenants_are_not(
    offline: OfflineGateway,
) -> None:
    offline.send("DELETE", "/traces/tr_1")
    refused = offline.send("POST", "/event", json=EVENT)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "was deleted" in refused.json()["message"]
    assert offline.send("POST", "/event", json=EVENT | {"traceId": "tr_2"}).status_code == 201
    assert offline.send("POST", "/event", json=EVENT, headers=OTHER).status_code == 201
    bulk = offline.send("POST", "/events", json=[EVENT, EVENT | {"traceId": "tr_3"}]).json()
    assert bulk["accepted"] == 1
    assert [one["index"] for one in bulk["rejected"]] == [0]
    assert {record.trace_id for record in offline.log.records} == {"tr_1", "tr_2", "tr_3"}  # tr_1 of the other tenant


def test_late_events_are_stored_where_the_operator_says_so() -> None:
    by_setting = OfflineGateway(late_events=Late.STORED)
    assert by_setting.send("DELETE", "/traces/tr_1").json()["late"] == "stored"
    assert by_setting.send("POST", "/event", json=EVENT).status_code == 201
    by_request = OfflineGateway()
    by_request.send("DELETE", "/traces/tr_1")
    assert by_request.send("DELETE", "/traces/tr_1?late=stored").json()["late"] == "stored"
    assert by_request.send("POST", "/event", json=EVENT).status_code == 201


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/traces/tr_1?late=never", 400),
        ("/traces/tr_1?lat=stored", 400),
        ("/traces", 400),
        ("/traces?tenant=", 400),
        ("/traces?tenant=1&sessionId=s", 400),
        ("/traces?session=s", 400),
        ("/traces?tenant=2", 403),
        ("/traces/%00", 404),
    ],
)
def test_a_slip_deletes_nothing(offline: OfflineGateway, path: str, status: int) -> None:
    assert offline.send("DELETE", path).status_code == status
    assert not offline.control.data.deleted
    assert not offline.markers.appended


def test_everything_of_a_tenant_is_deleted_by_its_name(offline: OfflineGateway) -> None:
    answer = offline.send("DELETE", "/traces?tenant=1&late=stored")
    assert (answer.status_code, answer.json()["traces"], answer.json()["late"]) == (202, None, "stored")
    ((tenant_id, deletion),) = offline.markers.appended
    assert (tenant_id, deletion.trace_ids) == ("1", ())
    assert offline.send("POST", "/event", json=EVENT).status_code == 201


@pytest.mark.parametrize("scopes", [["ingest"], ["read"], ["ingest", "read"]])
def test_a_key_without_the_scope_admin_deletes_nothing(offline: OfflineGateway, scopes: list[str]) -> None:
    secret = b"the secret of a server of tests"
    made = make_key(
        offline.control.data,
        secret,
        tenant_id="1",
        name="n",
        creator="c",
        scopes=[KeyScope(scope) for scope in scopes],
        public=False,
        now_ms=1,
        expires_at=None,
    )
    asyncio.run(offline.control.note([made.record]))
    headers = {"X-API-Key": made.key, "x-tenant-id": "1"}
    for path in ("/traces/tr_1", "/traces?tenant=1"):
        assert offline.send("DELETE", path, headers=headers).status_code == 403
    assert not offline.control.data.deleted


def test_without_kafka_a_deletion_is_503_and_is_completed_later(offline: OfflineGateway) -> None:
    """The record is the truth: who was told nothing may find it deleted, and nobody who was told finds it there."""
    offline.markers.acknowledges = False
    assert offline.send("DELETE", "/traces/tr_1").status_code == 503
    ((_, begun),) = list(offline.control.data.deleted)
    assert begun.bounds == ()

    now = begun.at
    markers = MemoryMarkers()
    deletions = Deletions(Settings(), offline.control, markers, lambda: now)
    asyncio.run(deletions.look())
    assert markers.appended == []  # its own gateway may be about to
    now += 60_000
    asyncio.run(deletions.look())
    ((_, completed),) = list(offline.control.data.deleted)
    assert (completed.id, completed.bounds) == (begun.id, (7, 7))
    asyncio.run(deletions.look())
    assert len(markers.appended) == 1


def test_a_deletion_is_forgotten_when_nothing_of_it_can_come_back(offline: OfflineGateway) -> None:
    offline.send("DELETE", "/traces/tr_1")
    ((_, deletion),) = list(offline.control.data.deleted)
    now = deletion.at + (90 + 7 + 7) * A_DAY_MS - 1
    deletions = Deletions(Settings(), offline.control, MemoryMarkers(), lambda: now)
    asyncio.run(deletions.look())
    assert offline.control.data.deleted
    now += 400 * A_DAY_MS
    asyncio.run(deletions.look())
    assert not offline.control.data.deleted
    assert not offline.control.data.tenant("1").deletions


def test_many_traces_make_several_deletions_and_the_same_again_replaces_them() -> None:
    control, markers = MemoryControl(ControlData()), MemoryMarkers()
    clock = count(1_000)
    deletions = Deletions(Settings(), control, markers, lambda: next(clock))
    traces = [f"tr_{number}" for number in range(MOST_TRACES + 1)]
    actor = Actor("user ana", "host h")
    for _ in range(2):
        asyncio.run(deletions.delete("1", traces, Late.REFUSED, actor, "sessionId s", {}))
        assert [len(one.trace_ids) for one in control.data.deleted.of_tenant("1")] == [MOST_TRACES, 1]
    assert len(markers.appended) == 4
    asyncio.run(deletions.delete("1", ["tr_1"], Late.STORED, actor, "trace tr_1", {}))
    assert not control.data.deleted.refuses("1", "tr_1")
    assert control.data.deleted.refuses("1", "tr_2")


def test_at_the_limit_all_of_the_tenant_can_be_deleted_and_then_single_traces_again(
    offline: OfflineGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the refusal says. Late events of the single ones are refused, which is the default."""
    monkeypatch.setattr(deletions_module, "MAX_DELETIONS", 2)
    assert offline.send("DELETE", "/traces/tr_1").json()["late"] == "refused"
    deletions = Deletions(Settings(), offline.control, offline.markers, lambda: 1)
    asyncio.run(deletions.delete("1", ["tr_2"], Late.REFUSED, Actor("", ""), "s", {}, ("userId", "u1")))
    refused = offline.send("DELETE", "/traces/tr_3")
    assert (refused.status_code, "Delete all of the tenant" in refused.text) == (409, True)
    assert offline.send("DELETE", "/traces?tenant=1&late=stored").status_code == 202
    assert offline.send("DELETE", "/traces/tr_3").status_code == 202


class Finished:
    """What ClickHouse says: which deletions are finished there."""

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.asked = 0

    async def rows(self, tenant_id: str, sql: str, parameters: dict[str, Any]) -> list[tuple[int]]:
        assert tenant_id == "1"
        assert "finished_deletions" in sql
        self.asked += 1
        return [(number,) for number in parameters["ids"] if number in self.ids]


@pytest.fixture
def deleted() -> tuple[ControlData, Finished, BeingDeleted, list[float]]:
    data, finished, now = ControlData(), Finished(), [0.0]
    return data, finished, BeingDeleted(data, finished, lambda: now[0]), now  # pyright: ignore[reportArgumentType]


def put(data: ControlData, number: int, traces: tuple[str, ...] = ("tr_1",), bounds: tuple[int, ...] = (7,)) -> None:
    deletion = Deletion(number, traces, Late.STORED, number, "log", bounds)
    data.apply(ControlRecord(Place(Kind.DELETION, "1", number), deletion))


def test_reads_are_told_until_clickhouse_has_finished(
    deleted: tuple[ControlData, Finished, BeingDeleted, list[float]],
) -> None:
    data, finished, being_deleted, now = deleted
    asyncio.run(being_deleted.check("1", "tr_1"))
    assert finished.asked == 0  # nobody pays for deletions that there are none of
    put(data, 5)
    asyncio.run(being_deleted.check("1", "tr_2"))
    with pytest.raises(BeingDeletedError) as told:
        asyncio.run(being_deleted.check("1", "tr_1"))
    assert told.value.status == 404
    assert told.value.headers == {"X-Axonstream-Deleting": "true"}
    finished.ids = {5}
    asyncio.run(being_deleted.check("1", "tr_1"))
    assert asyncio.run(being_deleted.finished("1")) == {5}
    finished.ids = set()  # a backup was restored
    assert asyncio.run(being_deleted.finished("1")) == {5}  # a list asks every few seconds, whoever reads how often
    now[0] = 5.1
    assert asyncio.run(being_deleted.finished("1")) == set()
    with pytest.raises(BeingDeletedError):
        asyncio.run(being_deleted.check("1", "tr_1"))


def test_a_deletion_that_comes_while_a_read_is_under_way_hides_what_it_read(
    deleted: tuple[ControlData, Finished, BeingDeleted, list[float]],
) -> None:
    """Even one that ClickHouse finishes meanwhile: of two queries one may have seen the trace, and the other not."""
    data, finished, being_deleted, _ = deleted
    put(data, 5)
    finished.ids = {5, 6, 7}
    known = being_deleted.known("1", "tr_1")
    asyncio.run(being_deleted.check("1", "tr_1"))
    of_list = asyncio.run(being_deleted.finished("1"))
    being_deleted.check_since("1", "tr_1", known)
    assert not being_deleted.hidden("1", of_list)
    put(data, 6)
    with pytest.raises(BeingDeletedError):
        being_deleted.check_since("1", "tr_1", known)
    hidden = being_deleted.hidden("1", of_list)
    assert hidden.hides("tr_1")
    assert not hidden.hides("tr_2")
    put(data, 7, ())
    assert being_deleted.hidden("1", of_list).hides("tr_2")


def test_a_deletion_without_its_markers_is_unfinished_whatever_clickhouse_says(
    deleted: tuple[ControlData, Finished, BeingDeleted, list[float]],
) -> None:
    data, finished, being_deleted, _ = deleted
    put(data, 5, bounds=())
    finished.ids = {5}
    with pytest.raises(BeingDeletedError):
        asyncio.run(being_deleted.check("1", "tr_1"))


def test_a_deletion_that_kafka_does_not_take_is_none() -> None:
    control = MemoryControl(ControlData(), acknowledges=False)
    deletions = Deletions(Settings(), control, MemoryMarkers(), lambda: 1)
    with pytest.raises(UnavailableError):
        asyncio.run(deletions.delete("1", ["tr_1"], Late.REFUSED, Actor("", ""), "trace tr_1", {}))
    assert not control.data.deleted
