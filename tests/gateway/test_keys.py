"""Keys of the control data: what each may do, until when, and what is kept of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from axonstream.gateway.control.api_keys import KeyRefusedError, NewKey, make_key, revocation
from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.control.data import MAX_KEYS, ControlData
from axonstream.gateway.control.key_use import LEAST_BETWEEN_MS, KeyUses
from axonstream.gateway.control.records import ControlRecord
from kit.audit_entries import an_entry
from kit.memory_control import MemoryControl
from kit.offline_gateway import SERVER_SECRET, OfflineGateway

EVENT: dict[str, Any] = {"identifier": "step", "payload": {}, "channel_id": 1}
SECRET = SERVER_SECRET.encode()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def made(data: ControlData, *scopes: KeyScope, tenant: str = "3", public: bool = False, **changes: Any) -> NewKey:
    given: dict[str, Any] = {"name": "ci", "creator": "ana", "now_ms": now_ms(), "expires_at": None} | changes
    return make_key(data, SECRET, tenant_id=tenant, scopes=scopes, public=public, **given)


def kept(offline: OfflineGateway, *scopes: KeyScope, **options: Any) -> str:
    """A key that the gateway knows."""
    key = made(offline.control.data, *scopes, **options)
    asyncio.run(offline.control.write([key.record], an_entry()))
    return key.key


def early(key: str, tenant: str = "3") -> dict[str, str]:
    return {"X-API-Key": key, "x-tenant-id": tenant}


def test_a_key_opens_its_tenant_and_nothing_of_it_is_on_the_topic(offline: OfflineGateway) -> None:
    key = kept(offline, *KeyScope)
    assert offline.send("POST", "/event", headers=early(key), json=EVENT).status_code == 201
    assert offline.send("POST", "/event", headers={"x-axonpush-api-key": key}, json=EVENT).json()["orgId"] == "3"
    assert offline.send("POST", "/event", headers=early(key, "1"), json=EVENT).status_code == 403
    assert b'"tenant_id":"3"' in offline.log.records[0].value
    [(place, value)] = offline.control.topic
    assert place.startswith(b"key/3/")
    assert value is not None
    assert key.encode() not in value
    assert key.removeprefix("ak_").encode() not in value


def test_a_revoked_key_is_unknown_at_once(offline: OfflineGateway) -> None:
    key = made(offline.control.data, KeyScope.INGEST)
    asyncio.run(offline.control.write([key.record], an_entry()))
    assert offline.send("POST", "/event", headers=early(key.key), json=EVENT).status_code == 201
    asyncio.run(offline.control.write(revocation("3", key.kept.id), an_entry()))
    answer = offline.send("POST", "/event", headers=early(key.key), json=EVENT)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_a_key_whose_record_is_replaced_is_as_its_new_record_says(offline: OfflineGateway) -> None:
    key, other = made(offline.control.data, KeyScope.INGEST), made(offline.control.data, KeyScope.INGEST)
    place = key.record.place
    for kept, first, second in (
        (key.kept, 201, 401),
        (replace(key.kept, scopes=("read",)), 403, 401),
        (replace(other.kept, id=key.kept.id), 401, 201),
    ):
        asyncio.run(offline.control.write([ControlRecord(place, kept)], an_entry()))
        for shown, status in ((key.key, first), (other.key, second)):
            assert offline.send("POST", "/event", headers=early(shown), json=EVENT).status_code == status


def test_the_keys_that_are_remembered_are_bounded(offline: OfflineGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axonstream.gateway.access.authentication.MOST_SHOWN", 2)
    keys = [kept(offline, KeyScope.INGEST) for _ in range(5)]
    for key in (*keys, *keys):
        assert offline.send("POST", "/event", headers=early(key), json=EVENT).status_code == 201


def test_an_expired_key_is_refused_and_says_so(offline: OfflineGateway) -> None:
    past = now_ms() - 10_000
    key = kept(offline, KeyScope.INGEST, now_ms=past, expires_at=past + 5000)
    answer = offline.send("POST", "/event", headers=early(key), json=EVENT)
    assert (answer.status_code, answer.json()["message"]) == (401, "the API key has expired")
    later = kept(offline, KeyScope.INGEST, expires_at=now_ms() + 60_000)
    assert offline.send("POST", "/event", headers=early(later), json=EVENT).status_code == 201


@pytest.mark.parametrize("scope", list(KeyScope))
def test_a_key_does_what_its_scope_says_and_nothing_else(offline: OfflineGateway, scope: KeyScope) -> None:
    key = kept(offline, scope)
    event, name = {"json": EVENT}, {"json": {"name": "a"}}
    calls: list[tuple[KeyScope, int, str, str, dict[str, Any]]] = [
        (KeyScope.INGEST, 201, "POST", "/event", event),
        (KeyScope.INGEST, 200, "POST", "/events", event),
        (KeyScope.INGEST, 501, "POST", "/v1/traces", {}),
        (KeyScope.READ, 400, "GET", "/traces?limit=x", {}),
        (KeyScope.READ, 200, "GET", "/apps", {}),
        (KeyScope.READ, 200, "GET", "/apps/1/channels", {}),
        (KeyScope.READ, 200, "GET", "/channel/1", {}),
        (KeyScope.READ, 200, "GET", "/webhooks/endpoints/channel/1", {}),
        (KeyScope.READ, 404, "GET", "/webhooks/deliveries/7", {}),
        (KeyScope.ADMIN, 201, "POST", "/apps", name),
        (KeyScope.ADMIN, 200, "PATCH", "/apps/1", name),
        (KeyScope.ADMIN, 409, "DELETE", "/apps/1", {}),
        (KeyScope.ADMIN, 201, "POST", "/apps/1/channels", name),
        (KeyScope.ADMIN, 400, "POST", "/channel", name),
        (KeyScope.ADMIN, 200, "PUT", "/channel/1", name),
        (KeyScope.ADMIN, 409, "DELETE", "/channel/1", {}),
        (KeyScope.ADMIN, 400, "POST", "/webhooks/endpoints", name),
        (KeyScope.ADMIN, 404, "DELETE", "/webhooks/endpoints/7", {}),
    ]
    for needed, allowed, method, path, body in calls:
        answer = offline.send(method, path, headers=early(key), **body)
        assert answer.status_code == (allowed if needed is scope else 403), (method, path)
        if needed is not scope:
            assert f"lacks the scope {needed}" in answer.json()["message"]
            assert f"--scope {needed}" in answer.json()["hint"]


@pytest.mark.parametrize("header", ["X-Public-Token", "x-axonpush-api-key", "X-API-Key"])
def test_a_public_token_may_publish_and_nothing_else(offline: OfflineGateway, header: str) -> None:
    token = kept(offline, KeyScope.INGEST, public=True)
    assert token.startswith("pt_")
    headers = {header: token, "x-tenant-id": "3"}
    answer = offline.send("POST", "/event", headers=headers, json=EVENT)
    assert answer.status_code == (201 if header == "X-API-Key" else 200)
    assert answer.json()["eventId"] == (int if header == "X-API-Key" else str)(offline.log.records[0].event_id)
    for path in ("/traces", "/traces/t/summary", "/traces/t/events", "/apps", "/channel/1", "/live"):
        assert offline.send("GET", path, headers=headers).status_code == 403


def test_two_key_headers_at_once_are_400(offline: OfflineGateway) -> None:
    names = ("X-API-Key", "x-axonpush-api-key", "X-Public-Token")
    for one in names:
        for other in names:
            if one != other:
                answer = offline.send("POST", "/event", headers={one: "a", other: "b", "x-tenant-id": "1"}, json=EVENT)
                assert answer.status_code == 400
                assert "are set" in answer.json()["message"]


def test_with_another_server_secret_a_key_is_not_accepted(caplog: pytest.LogCaptureFixture) -> None:
    other = OfflineGateway(server_secret=SecretStr("quite another server secret"))
    key = kept(other, KeyScope.INGEST)
    assert other.send("POST", "/event", headers=early(key), json=EVENT).status_code == 401
    assert "another AXONSTREAM_SERVER_SECRET" in caplog.text
    assert other.send("POST", "/event", json=EVENT).status_code == 201


def test_before_the_control_data_is_read_an_unknown_key_is_503_and_one_of_the_settings_works(
    offline: OfflineGateway,
) -> None:
    offline.control.data.loaded = False
    assert offline.send("POST", "/event", headers=early("ak_x"), json=EVENT).status_code == 503
    assert offline.send("POST", "/event", json=EVENT).status_code == 201


def test_the_last_use_is_written_at_most_once_a_minute_a_key(offline: OfflineGateway) -> None:
    key = made(offline.control.data, KeyScope.INGEST)
    asyncio.run(offline.control.write([key.record], an_entry()))
    now = [1_000_000_000]
    uses = KeyUses(offline.control, lambda: now[0])

    def used(after_ms: int) -> int:
        """Records written after a use, this much later."""
        assert offline.send("POST", "/event", headers=early(key.key), json=EVENT).status_code == 201
        now[0] += after_ms
        before = len(offline.control.topic)
        asyncio.run(uses.write_due())
        return len(offline.control.topic) - before

    assert [used(0), used(10), used(LEAST_BETWEEN_MS - 11), used(1), used(1)] == [1, 0, 0, 1, 0]
    assert offline.control.data.tenant("3").key_uses == {key.kept.id: now[0] - 1}
    offline.send("POST", "/event", json=EVENT)  # a key of the settings has no record
    now[0] += 10 * LEAST_BETWEEN_MS
    asyncio.run(uses.write_due())
    asyncio.run(uses.write_due())
    assert [place for place, _ in offline.control.topic].count(f"key-use/3/{key.kept.id}".encode()) == 3


@pytest.mark.parametrize(
    ("scopes", "changes", "message"),
    [
        ((), {}, "needs a scope"),
        ((KeyScope.INGEST, KeyScope.READ), {"public": True}, "may only publish"),
        ((KeyScope.READ,), {"name": ""}, "name must be"),
        ((KeyScope.READ,), {"name": "x" * 257}, "name must be"),
        ((KeyScope.READ,), {"name": "a\nb"}, "name must be"),
        ((KeyScope.READ,), {"tenant": "é"}, "ASCII"),
        ((KeyScope.READ,), {"tenant": ""}, "tenant must be"),
        ((KeyScope.READ,), {"expires_at": 5}, "expired already"),
        ((KeyScope.READ,), {"expires_at": 253_402_387_199_000}, "after 2199"),
    ],
)
def test_a_key_that_cannot_be_is_refused(scopes: tuple[KeyScope, ...], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(KeyRefusedError, match=message):
        made(ControlData(SECRET), *scopes, **changes)


def test_a_tenant_has_so_many_keys_and_no_more() -> None:
    control = MemoryControl(ControlData(SECRET))
    keys = [made(control.data, KeyScope.READ) for _ in range(MAX_KEYS)]
    asyncio.run(control.write([key.record for key in keys], an_entry()))
    with pytest.raises(KeyRefusedError, match="revoke some"):
        made(control.data, KeyScope.READ)
    made(control.data, KeyScope.READ, tenant="4")
    asyncio.run(control.write(revocation("3", keys[0].kept.id), an_entry()))
    made(control.data, KeyScope.READ)
