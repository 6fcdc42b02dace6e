"""Two tenants that manage apps, channels, webhook endpoints and keys: neither ever meets what is the other's (G6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axonstream.gateway.control.api_keys import make_key
from axonstream.gateway.control.credentials import KeyScope
from kit.audit_entries import an_entry
from kit.offline_gateway import SERVER_SECRET, OfflineGateway

KEYS = {"1": "ak_local", "2": "ak_other"}
STEPS = st.lists(
    st.tuples(st.sampled_from(sorted(KEYS)), st.sampled_from(["app", "channel", "hook", "publish"])), max_size=6
)


def headers(tenant: str) -> dict[str, str]:
    return {"X-API-Key": KEYS[tenant], "x-tenant-id": tenant}


def made(gateway: OfflineGateway, tenant: str, what: str) -> tuple[str, int]:
    """A thing that is named after its tenant, and its id."""
    mark = f"secret of {tenant}"
    path, body = {
        "app": ("/apps", {"name": mark}),
        "channel": ("/channel", {"name": mark, "appId": 1}),
        "hook": ("/webhooks/endpoints", {"url": "http://a.com", "channelId": 1, "description": mark}),
        "publish": ("/event", {"identifier": mark, "payload": {}, "channel_id": 100 + int(tenant)}),
    }[what]
    answer = gateway.send("POST", path, json=body, headers=headers(tenant))
    assert answer.status_code == 201, answer.text
    return what, 100 + int(tenant) if what == "publish" else answer.json()["id"]


def calls(what: str, number: int) -> list[tuple[str, str, dict[str, Any]]]:
    """Everything that can be done with a thing by its id."""
    name, new = {"json": {"name": "mine now"}}, {"url": "http://b.com", "channelId": number}
    return {
        "app": [
            ("GET", f"/apps/{number}", {}),
            ("PATCH", f"/apps/{number}", name),
            ("DELETE", f"/apps/{number}", {}),
            ("GET", f"/apps/{number}/channels", {}),
            ("POST", f"/apps/{number}/channels", name),
            ("POST", "/channel", {"json": {"name": "c", "appId": number}}),
            ("PUT", "/channel/1", {"json": {"appId": number}}),
        ],
        "hook": [("DELETE", f"/webhooks/endpoints/{number}", {}), ("GET", f"/webhooks/deliveries/{number}", {})],
    }.get(
        what,
        [
            ("GET", f"/channel/{number}", {}),
            ("PUT", f"/channel/{number}", name),
            ("DELETE", f"/channel/{number}", {}),
            ("GET", f"/apps/1/channels/{number}", {}),
            ("PUT", f"/apps/1/channels/{number}", name),
            ("DELETE", f"/apps/1/channels/{number}", {}),
            ("GET", f"/webhooks/endpoints/channel/{number}", {}),
            ("POST", "/webhooks/endpoints", {"json": new}),
        ],
    )


REQUESTS = 100  # of one example, at the most: so there are fewer examples than elsewhere


@pytest.mark.slow
@settings(max_examples=10 + settings().max_examples // REQUESTS * 10)
@given(STEPS)
def test_what_a_tenant_has_does_not_exist_for_another(steps: list[tuple[str, str]]) -> None:
    gateway = OfflineGateway()
    things = [(tenant, *made(gateway, tenant, what)) for tenant, what in steps]
    writes = len(gateway.control.topic)
    for tenant, what, number in things:
        other = "2" if tenant == "1" else "1"
        for method, path, body in calls(what, number):
            answer = gateway.send(method, path, headers=headers(other), **body)
            nothing = _nobodys(body, number)
            nobodys = gateway.send(method, path.replace(str(number), "77"), headers=headers(other), **nothing)
            named_in_body = path in ("/channel", "/channel/1", "/webhooks/endpoints")
            assert answer.status_code == nobodys.status_code == (400 if named_in_body else 404)
            theirs, unknown = answer.json() | {"requestId": ""}, nobodys.json() | {"requestId": ""}
            assert str(theirs).replace(str(number), "77") == str(unknown)
    assert len(gateway.control.topic) == writes
    for tenant, other in (("1", "2"), ("2", "1")):
        for path in ("/apps", "/apps/1/channels", "/webhooks/endpoints/channel/1"):
            assert f"secret of {other}" not in gateway.send("GET", path, headers=headers(tenant)).text


def _nobodys(body: dict[str, Any], number: int) -> dict[str, Any]:
    fields = body.get("json", {})
    return {"json": {name: 77 if value == number else value for name, value in fields.items()}} if fields else {}


@pytest.mark.parametrize("tenant", ["1", "3"])
def test_a_key_of_one_tenant_opens_no_other(tenant: str) -> None:
    gateway = OfflineGateway()
    made(gateway, "2", "app")
    key = make_key(
        gateway.control.data, SERVER_SECRET.encode(), tenant_id=tenant, name="n", creator="c", scopes=list(KeyScope),
        public=False, now_ms=1, expires_at=None,
    )  # fmt: skip
    asyncio.run(gateway.control.write([key.record], an_entry()))
    for claimed in ("2", "other", "1/", f"{tenant}{tenant}"):
        for name in ("X-API-Key", "x-axonpush-api-key", "X-Public-Token"):
            answer = gateway.send("GET", "/apps", headers={name: key.key, "x-tenant-id": claimed})
            assert answer.status_code == 403
    own = gateway.send("GET", "/apps", headers={"x-axonpush-api-key": key.key}).json()
    assert [row["orgId"] for row in own["apps"]] == [tenant]
    assert "secret of 2" not in str(own)
