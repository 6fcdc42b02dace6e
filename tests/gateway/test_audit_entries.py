"""What the gateway enters in the audit log: who did what to which object, from where and when, before and after."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from axonstream.gateway.control import audit_trail
from axonstream.gateway.control.api_keys import make_key
from axonstream.gateway.control.audit_entry import (
    MOST_SHOWN,
    Action,
    AuditEntry,
    decode_entry,
    encode_entry,
    is_entry,
)
from axonstream.gateway.control.audit_trail import AuditLimits, AuditTrail
from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.control.records import ControlRecordError, Kind, decode_record
from kit.audit_entries import an_entry
from kit.offline_gateway import SERVER_SECRET, OfflineGateway

EVENT: dict[str, Any] = {"identifier": "step", "payload": {}, "channel_id": 1}
ENDPOINT: dict[str, Any] = {"url": "https://hooks.example.com/T0/secret-of-the-url", "channelId": 1}
ADDRESS = "127.0.0.1"  # of httpx's transport within a process


def admin_key(offline: OfflineGateway) -> tuple[int, dict[str, str]]:
    """The id of a key of tenant 3, and the headers that show it."""
    key = make_key(
        offline.control.data, SERVER_SECRET.encode(), tenant_id="3", name="n", creator="c", scopes=list(KeyScope),
        public=False, now_ms=1, expires_at=None,
    )  # fmt: skip
    asyncio.run(offline.control.write([key.record], an_entry("3", Action.KEY_CREATE)))
    return key.kept.id, {"x-axonpush-api-key": key.key}


def parts(one: AuditEntry) -> tuple[Any, ...]:
    assert one.at > 1_700_000_000_000
    return one.action, one.subject, one.tenant_id, one.who, one.origin, one.before, one.after


def test_each_change_over_http_is_entered_with_who_what_where_before_and_after(offline: OfflineGateway) -> None:
    """Section 6: nothing said who had changed what."""
    number, headers = admin_key(offline)
    by = ("3", f"key {number}", ADDRESS)

    def done(method: str, path: str, **fields: Any) -> dict[str, Any]:
        answer = offline.send(method, path, headers=headers, json=fields)
        assert answer.status_code < 300, answer.text
        return answer.json()

    app = done("POST", "/apps", name="first")["id"]
    done("PATCH", f"/apps/{app}", name="second")
    channel = done("POST", "/channel", name="c", appId=app)["id"]
    done("PUT", f"/channel/{channel}", name="d", appId=1)
    hook = done("POST", "/webhooks/endpoints", **ENDPOINT | {"channelId": channel, "secret": "a secret of mine"})["id"]
    done("DELETE", f"/webhooks/endpoints/{hook}")
    done("DELETE", f"/webhooks/endpoints/{hook}")  # changes nothing
    done("DELETE", f"/channel/{channel}")
    done("DELETE", f"/apps/{app}")

    def webhook(active: bool) -> dict[str, Any]:
        return {
            "channel_id": int(channel), "url": "https://hooks.example.com/...", "event_types": "", "description": "",
            "active": active, "has_secret": active,
        }  # fmt: skip

    before, after = {"name": "c", "app_id": int(app)}, {"name": "d", "app_id": 1}
    assert [parts(one) for one in offline.control.entries[1:]] == [
        ("app.create", f"app {app}", *by, None, {"name": "first"}),
        ("app.change", f"app {app}", *by, {"name": "first"}, {"name": "second"}),
        ("channel.create", f"channel {channel}", *by, None, before),
        ("channel.change", f"channel {channel}", *by, before, after),
        ("webhook.create", f"webhook endpoint {hook}", *by, None, webhook(True)),
        ("webhook.deactivate", f"webhook endpoint {hook}", *by, webhook(True), webhook(False)),
        ("channel.delete", f"channel {channel}", *by, after | {"webhooks": [int(hook)], "webhooks_deleted": 1}, None),
        ("app.delete", f"app {app}", *by, {"name": "second"}, None),
    ]
    text = b"".join(encode_entry(one)[1] for one in offline.control.entries)
    sealed = [orjson.loads(v).get("sealed_secret") for k, v in offline.control.topic if k.startswith(b"webhook/") and v]
    for secret in (
        b"secret-of-the-url",
        b"a secret of mine",
        headers["x-axonpush-api-key"].encode(),
        sealed[0].encode(),
    ):
        assert secret not in text


def test_what_is_deleted_with_an_app_is_named_and_counted(offline: OfflineGateway) -> None:
    app = offline.send("POST", "/apps", json={"name": "a"}).json()["id"]
    channels = [offline.send("POST", "/channel", json={"name": "c", "appId": app}).json()["id"] for _ in range(3)]
    offline.send("POST", "/webhooks/endpoints", json=ENDPOINT | {"channelId": channels[0]})
    offline.send("DELETE", f"/apps/{app}")
    before = offline.control.entries[-1].before or {}
    assert (before["channels"], before["channels_deleted"]) == (sorted(channels), 3)
    assert before["webhooks_deleted"] == 1


def test_an_endpoint_that_gives_way_to_a_new_one_is_in_its_entry(
    offline: OfflineGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axonstream.gateway.managing.webhook_endpoints.MAX_WEBHOOKS", 1)
    first = offline.send("POST", "/webhooks/endpoints", json=ENDPOINT).json()["id"]
    offline.send("DELETE", f"/webhooks/endpoints/{first}")
    assert offline.send("POST", "/webhooks/endpoints", json=ENDPOINT).status_code == 201
    assert (offline.control.entries[-1].before or {})["deleted_for_room"] == first


def test_a_channel_that_publishing_makes_is_entered_once_a_request(offline: OfflineGateway) -> None:
    for _ in range(2):
        assert offline.send("POST", "/event", json=EVENT | {"channel_id": 57}).status_code == 201
    [one] = offline.control.entries
    assert (one.action, one.subject, one.after) == ("channel.publish", "channel 57", {"channels": [57], "app_id": 1})
    assert (one.who[:11], one.origin) == ("static key ", ADDRESS)
    bulk = [EVENT | {"channel_id": number} for number in range(100, 100 + MOST_SHOWN + 50)]
    assert offline.send("POST", "/events", json=bulk).json()["accepted"] == MOST_SHOWN + 50
    many = offline.control.entries[1]
    assert many.subject == f"{MOST_SHOWN + 50} channels"
    assert len((many.after or {})["channels"]) == MOST_SHOWN
    assert len(offline.control.entries) == 2


def test_a_key_of_the_settings_has_a_name_that_every_gateway_gives_it_and_that_is_nothing_of_it() -> None:
    names = set[str]()
    for gateway in (OfflineGateway(), OfflineGateway()):
        gateway.send("POST", "/apps", json={"name": "a"})
        names.add(gateway.control.entries[0].who)
        gateway.send("POST", "/apps", headers={"X-API-Key": "ak_other", "x-tenant-id": "2"}, json={"name": "a"})
        assert gateway.control.entries[1].who not in names
    assert len(names) == 1
    assert "local" not in str(names)


def test_what_a_client_says_of_its_address_is_not_believed(offline: OfflineGateway) -> None:
    claims = {"X-Forwarded-For": "9.9.9.9", "Forwarded": "for=9.9.9.9", "X-Real-IP": "9.9.9.9"}
    offline.send("POST", "/apps", headers={"x-axonpush-api-key": "ak_local", **claims}, json={"name": "a"})
    assert offline.control.entries[0].origin == ADDRESS


def test_what_is_refused_or_not_acknowledged_is_not_entered(offline: OfflineGateway) -> None:
    wrong = {"X-API-Key": "ak_wrong", "x-tenant-id": "1"}
    assert offline.send("POST", "/apps", headers=wrong, json={"name": "a"}).status_code == 401
    assert offline.send("DELETE", "/apps/1").status_code == 409
    assert offline.send("POST", "/apps", json={"name": ""}).status_code == 400
    assert offline.control.entries == []


def test_an_entry_comes_back_as_it_was_written_also_with_fields_and_actions_of_a_later_version() -> None:
    one = an_entry("a/b")
    key, value = encode_entry(one)
    assert is_entry(key)
    assert decode_entry(key, value) == one
    later = orjson.dumps(orjson.loads(value) | {"more": 1, "action": "tenant.delete"})
    assert decode_entry(key, later).action == "tenant.delete"
    for strange in (b"", b"[]", b"{}", b"\xff"):
        with pytest.raises(ControlRecordError):
            decode_entry(key, strange)


def test_a_gateway_of_the_version_before_leaves_an_entry_out() -> None:
    """Its `decode_record` stands unchanged: a kind that it does not know raises, and the reader goes on."""
    key, value = encode_entry(an_entry())
    assert key.decode().partition("/")[0] not in set(Kind)
    with pytest.raises(ControlRecordError):
        decode_record(key, value)


def keys_of(tenant: str, numbers: range, kind: str = "audit") -> list[bytes]:
    return [f"{kind}/{tenant}/{number}".encode() for number in numbers]


def test_the_oldest_entries_of_a_tenant_are_beyond_its_limit_and_no_other_tenants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_trail, "MOST_OF_A_TENANT", 5)
    monkeypatch.setattr(audit_trail, "MOST_PUBLISHED", 2)
    trail = AuditTrail()
    for key in (*keys_of("1", range(8)), *keys_of("2", range(5)), *keys_of("1", range(4), "audit-published")):
        trail.read(key, gone=False)
        trail.read(key, gone=False)  # a record may be read twice
    assert trail.beyond_limits() == [*keys_of("1", range(3)), *keys_of("1", range(2), "audit-published")]
    for key in trail.beyond_limits():
        trail.read(key, gone=True)
    assert (trail.beyond_limits(), len(trail)) == ([], 12)
    trail.read(b"audit/1/none", gone=False)
    assert len(trail) == 12


def test_a_publisher_cannot_push_out_what_people_did(offline: OfflineGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_trail, "MOST_OF_A_TENANT", 3)
    monkeypatch.setattr(audit_trail, "MOST_PUBLISHED", 2)
    data = offline.control.data
    offline.send("POST", "/apps", json={"name": "a"})
    [made] = data.audit.ids(b"audit/1")
    for number in range(10, 20):
        offline.send("POST", "/event", json=EVENT | {"channel_id": number})
    asyncio.run(AuditLimits(data.audit, offline.control, lambda: data.loaded).keep())
    assert data.audit.ids(b"audit/1") == [made]
    assert len(data.audit) == 3


def test_of_all_tenants_together_who_has_the_most_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_trail, "MOST_OF_ALL", 20)
    trail = AuditTrail()
    for key in (*keys_of("small", range(4)), *keys_of("large", range(50))):
        trail.read(key, gone=False)
    beyond = trail.beyond_limits()
    assert beyond == keys_of("large", range(34))


def test_entries_beyond_the_limits_are_deleted_once_the_topic_is_read(
    offline: OfflineGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_trail, "MOST_OF_A_TENANT", 3)
    data = offline.control.data
    limits = AuditLimits(data.audit, offline.control, lambda: data.loaded)
    for number in range(5):
        offline.send("POST", "/apps", json={"name": f"a{number}"})
    data.loaded = False
    asyncio.run(limits.keep())
    assert len(data.audit) == 5
    data.loaded = True
    asyncio.run(limits.keep())
    assert len(data.audit) == 3
    assert data.audit.beyond_limits() == []
