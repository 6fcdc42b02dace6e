"""What becomes of events that come after a deletion: as the operator chose, whatever was deleted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from axonstream.contract import deleted_traces
from axonstream.contract.deletion import Deletion, Late
from axonstream.gateway.control.audit_entry import Actor
from axonstream.gateway.deleting.deletions import Deletions
from axonstream.gateway.deleting.late_events import SELECTIONS
from axonstream.gateway.reading.visibility import Visibility
from axonstream.settings.settings import Settings
from kit.offline_gateway import MemoryMarkers, OfflineGateway

OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}
EVENT = {"identifier": "a", "payload": {}, "channel_id": 1, "traceId": "tr_9"}
ACTOR = Actor("user ana", "host h")


def deleting(gateway: OfflineGateway) -> Deletions:
    clock = count(1_000)
    return Deletions(Settings(), gateway.control, gateway.markers, lambda: next(clock))


def delete_refused(gateway: OfflineGateway, traces: list[str], selected: tuple[str, str] | None = None) -> Deletion:
    made = deleting(gateway).delete("1", traces, Late.REFUSED, ACTOR, "s", {}, selected)
    return asyncio.run(made)[0]


def test_after_all_of_a_tenant_was_deleted_its_events_are_refused_and_those_of_others_are_not(
    offline: OfflineGateway,
) -> None:
    answer = offline.send("DELETE", "/traces?tenant=1")
    assert (answer.status_code, answer.json()["late"]) == (202, "refused")
    refused = offline.send("POST", "/event", json=EVENT)
    assert (refused.status_code, "all of this tenant was deleted" in refused.text) == (409, True)
    no_trace = {name: value for name, value in EVENT.items() if name != "traceId"}
    assert offline.send("POST", "/event", json=no_trace).status_code == 409
    bulk = offline.send("POST", "/events", json=[EVENT, no_trace])
    assert (bulk.status_code, [one["index"] for one in bulk.json()["rejected"]]) == (400, [0, 1])
    assert offline.send("POST", "/event", json=EVENT, headers=OTHER).status_code == 201
    assert offline.send("DELETE", "/traces/tr_9?late=stored").status_code == 202
    assert offline.send("POST", "/event", json=EVENT).status_code == 409, "a trace of a tenant that takes nothing"


def test_what_the_refusal_says_lets_the_tenant_in_again(offline: OfflineGateway) -> None:
    """`axonstream trace delete --everything --tenant 1 --late stored` sends this request."""
    offline.send("DELETE", "/traces?tenant=1")
    refused = offline.send("POST", "/event", json=EVENT)
    assert "delete all of the tenant once more, with late=stored" in refused.text
    assert offline.send("DELETE", "/traces?tenant=1&late=stored").json()["late"] == "stored"
    assert offline.send("POST", "/event", json=EVENT).status_code == 201
    assert len(offline.control.data.deleted.of_tenant("1")) == 1  # the earlier one says nothing more


def test_the_setting_says_it_where_the_request_does_not() -> None:
    by_setting = OfflineGateway(late_events=Late.STORED)
    assert by_setting.send("DELETE", "/traces?tenant=1").json()["late"] == "stored"
    assert by_setting.send("POST", "/event", json=EVENT).status_code == 201


@pytest.mark.parametrize(
    ("selected", "late", "others"),
    [
        (("sessionId", "s1"), [{"sessionId": "s1"}, {"session_id": "s1", "n": 1}], [{"sessionId": "s2"}, {"s": "s1"}]),
        (("userId", "7"), [{"userId": 7}, {"user_id": "7"}], [{"userId": 77}, {"sessionId": "7"}, {"userId": None}]),
    ],
)
def test_after_a_session_or_a_user_was_deleted_events_that_name_it_are_refused_in_whatever_trace(
    offline: OfflineGateway,
    selected: tuple[str, str],
    late: list[dict[str, object]],
    others: list[dict[str, object]],
) -> None:
    deletions = deleting(offline)
    asyncio.run(deletions.delete("1", ["tr_1"], Late.REFUSED, ACTOR, "s", {}, selected))
    for metadata in late:
        refused = offline.send("POST", "/event", json=EVENT | {"metadata": metadata})
        assert (refused.status_code, selected[0] in refused.text) == (409, True)
        assert offline.send("POST", "/event", json=EVENT | {"metadata": metadata}, headers=OTHER).status_code == 201
    for own in ({selected[0]: selected[1]}, {SELECTIONS[selected[0]]: selected[1], "metadata": {}}):
        assert offline.send("POST", "/event", json=EVENT | own).status_code == 409
        assert offline.send("POST", "/event", json=EVENT | own, headers=OTHER).status_code == 201
        assert offline.send("POST", "/event", json=EVENT | {selected[0]: "another"}).status_code == 201
    for metadata in others:
        assert offline.send("POST", "/event", json=EVENT | {"metadata": metadata}).status_code == 201
    assert offline.send("POST", "/event", json=EVENT).status_code == 201
    assert offline.send("POST", "/event", json=EVENT | {"traceId": "tr_1"}).status_code == 409
    # a deletion of the same traces for another reason leaves it as it is
    asyncio.run(deletions.delete("1", ["tr_1", "tr_2"], Late.STORED, ACTOR, "t", {}))
    assert offline.send("POST", "/event", json=EVENT | {"metadata": late[0]}).status_code == 409


class OnlyLookedUp(dict[Any, Any]):
    """Nobody may go through it: a tenant may have thousands of deletions, and each event is judged."""

    def __iter__(self) -> Any:
        raise AssertionError("an event was compared with every deletion of its tenant")

    keys = values = items = __iter__


def test_an_event_is_not_compared_with_every_deletion(offline: OfflineGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleted_traces, "dict", OnlyLookedUp, raising=False)
    deletions = deleting(offline)
    for number in range(3):
        asyncio.run(deletions.delete("1", [f"tr_{number}"], Late.REFUSED, ACTOR, "s", {}, ("userId", f"u{number}")))
    for metadata, status in (({"user_id": "u2"}, 409), ({"userId": "u3", "sessionId": "u2"}, 201)):
        assert offline.send("POST", "/event", json=EVENT | {"metadata": metadata}).status_code == status


def test_a_session_whose_traces_are_gone_can_be_let_in_again(
    offline: OfflineGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ClickHouse knows no trace of it any more, so the earlier deletion says which they were."""

    async def rows(*_: object) -> list[tuple[str]]:
        return []

    async def visible(_: Visibility) -> bool:
        return True

    monkeypatch.setattr("axonstream.gateway.reading.clickhouse_reads.ClickHouseReads.rows", rows)
    monkeypatch.setattr(Visibility, "of_everything", visible)
    assert offline.send("DELETE", "/traces?sessionId=s1&late=stored").status_code == 404
    asyncio.run(deleting(offline).delete("1", ["tr_1"], Late.REFUSED, ACTOR, "s", {}, ("sessionId", "s1")))
    again = offline.send("DELETE", "/traces?sessionId=s1&late=stored")
    assert (again.status_code, again.json()["traces"]) == (202, 1)
    for event in (EVENT | {"metadata": {"sessionId": "s1"}}, EVENT | {"traceId": "tr_1"}):
        assert offline.send("POST", "/event", json=event).status_code == 201


def test_a_deletion_whose_marker_kafka_has_lost_is_done_again_in_its_order() -> None:
    gateway = OfflineGateway()
    deletions = deleting(gateway)
    data = gateway.control.data

    def delete(traces: list[str], late: Late, tenant_id: str = "1") -> Deletion:
        [made] = asyncio.run(deletions.delete(tenant_id, traces, late, ACTOR, "t", {}))
        return made

    kept, lost, later = (
        delete(["tr_0"], Late.REFUSED),
        delete(["tr_1", "tr_2"], Late.REFUSED),
        delete(["tr_1"], Late.STORED),
    )
    other = delete(["tr_1"], Late.REFUSED, "2")
    asyncio.run(deletions.repeat_lost())
    assert {one.id for _, one in data.deleted} == {one.id for one in (kept, lost, later, other)}
    gateway.markers.gone = {lost.id}
    asyncio.run(deletions.repeat_lost())
    again = {one.repeats: one for one in data.deleted.of_tenant("1")}
    assert again.keys() == {0, lost.id, later.id}
    assert again[0].id == kept.id
    for before in (lost, later):
        now = again[before.id]
        assert (now.trace_ids, now.late, now.lost_bounds) == (before.trace_ids, before.late, before.bounds)
        assert now.bounds
        assert now.id != before.id, "ClickHouse has finished the other one"
    assert data.deleted.refuses("1", "tr_2")
    assert not data.deleted.refuses("1", "tr_1"), "the newer one was repeated last"
    assert {one.id for one in data.deleted.of_tenant("2")} == {other.id}
    assert len(data.tenant("1").deletions) == 3, "the records of the lost ones are forgotten"


def test_a_repetition_that_was_begun_is_completed_and_what_it_repeats_stays_void() -> None:
    gateway = OfflineGateway()
    deletions = deleting(gateway)
    [lost] = asyncio.run(deletions.delete("1", ["tr_1"], Late.STORED, ACTOR, "t", {}))
    gateway.markers.gone, gateway.markers.acknowledges = {lost.id}, False
    with pytest.raises(Exception, match="did not acknowledge"):
        asyncio.run(deletions.repeat_lost())
    [begun] = gateway.control.data.deleted.of_tenant("1")
    assert (begun.repeats, begun.bounds) == (lost.id, ())
    now = begun.at + 60_000
    markers = MemoryMarkers()
    asyncio.run(Deletions(Settings(), gateway.control, markers, lambda: now).look())
    [done] = gateway.control.data.deleted.of_tenant("1")
    assert (done.id, done.bounds) == (begun.id, (7, 7))
    assert set(gateway.control.data.tenant("1").deletions) == {begun.id}


def test_all_of_a_tenant_with_late_events_stored_lets_in_again_what_was_refused_before_it(
    offline: OfflineGateway,
) -> None:
    """Also where the earlier deletions are still there: a sink that reads the log again meets their markers."""
    one = delete_refused(offline, ["tr_1"])
    user = delete_refused(offline, ["tr_2"], ("userId", "u1"))
    of_tr_1 = EVENT | {"traceId": "tr_1"}
    of_user = EVENT | {"metadata": {"userId": "u1"}}
    assert offline.send("DELETE", "/traces?tenant=1&late=stored").status_code == 202
    deleted = offline.control.data.deleted
    assert len(deleted.of_tenant("1")) == 1
    for earlier in (one, user):
        deleted.put("1", earlier)
    for event in (of_tr_1, of_user):
        assert offline.send("POST", "/event", json=event).status_code == 201
    assert not deleted.hides("1", "tr_1", "log", 0, 7)
    delete_refused(offline, ["tr_1"])
    assert offline.send("POST", "/event", json=of_tr_1).status_code == 409, "it was deleted again"
    assert offline.send("POST", "/event", json=of_user).status_code == 201


def test_a_deletion_is_not_forgotten_for_one_whose_markers_stand_before_its_own() -> None:
    """Two gateways delete the same trace: each takes in events that the other does not."""
    gateway = OfflineGateway()
    [first] = asyncio.run(deleting(gateway).delete("1", ["tr_1"], Late.STORED, ACTOR, "t", {}))
    gateway.control.data.deleted.put("1", replace(first, bounds=(7, 8)))
    for traces in (["tr_1"], []):
        asyncio.run(deleting(gateway).delete("1", traces, Late.STORED, ACTOR, "t", {}))
        assert first.id in {one.id for one in gateway.control.data.deleted.of_tenant("1")}
