"""Web pages publish with a public token that names their origin, and do nothing else."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import orjson
import pytest

from axonstream.gateway.control.api_keys import MAX_ORIGINS, KeyRefusedError, make_key, revocation
from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.origins import read_origin
from axonstream.gateway.control.records import decode_record
from kit.audit_entries import an_entry
from kit.offline_gateway import HEADERS, SERVER_SECRET, OfflineGateway

SECRET = SERVER_SECRET.encode()
APP, OTHER = "https://app.example", "https://other.example"
EVENT: dict[str, Any] = {"identifier": "click", "payload": {}, "channel_id": 1}
CORS = "access-control-"


def token(
    offline: OfflineGateway, *origins: str, tenant: str = "3", expires_in_ms: int | None = None
) -> tuple[str, int]:
    """A public token that the gateway knows, and its id."""
    now = time.time_ns() // 1_000_000 - 10_000
    made = make_key(
        offline.control.data, SECRET, tenant_id=tenant, name="page", creator="ana", scopes=[KeyScope.INGEST],
        public=True, now_ms=now, expires_at=None if expires_in_ms is None else now + expires_in_ms, origins=origins,
    )  # fmt: skip
    asyncio.run(offline.control.write([made.record], an_entry()))
    return made.key, made.kept.id


def preflight(offline: OfflineGateway, origin: str, path: str = "/event", method: str = "POST") -> httpx.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    return offline.send("OPTIONS", path, headers=headers | {"Access-Control-Request-Headers": "x-public-token"})


def cors_of(answer: httpx.Response) -> list[str]:
    return [name for name in answer.headers if name.startswith(CORS)]


@pytest.mark.parametrize("path", ["/event", "/events"])
def test_a_page_publishes_from_the_origins_that_its_token_names(offline: OfflineGateway, path: str) -> None:
    """S24: public tokens are of use in browsers alone, and no browser could use one: there was no CORS."""
    key, _ = token(offline, APP, "http://localhost:3000")
    for origin in (APP, "http://localhost:3000"):
        asked = preflight(offline, origin, path)
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-origin"] == origin
        assert asked.headers["access-control-allow-methods"] == "POST"
        allowed = asked.headers["access-control-allow-headers"].split(", ")
        assert {"content-type", "x-public-token", "traceparent", "content-encoding"} <= set(allowed)
        assert {"x-api-key", "authorization", "*"} & set(allowed) == set()
        assert asked.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in asked.headers
        answer = offline.send("POST", path, headers={"X-Public-Token": key, "Origin": origin}, json=EVENT)
        assert answer.status_code == 200
        assert (answer.headers["access-control-allow-origin"], answer.headers["vary"]) == (origin, "Origin")
    assert len(offline.log.records) == 2


def test_a_page_can_read_what_was_wrong_with_its_publish(offline: OfflineGateway) -> None:
    key, _ = token(offline, APP)
    expired, _ = token(offline, APP, expires_in_ms=5)
    for shown, body, status in ((key, {}, 400), (expired, EVENT, 401)):
        answer = offline.send("POST", "/event", headers={"X-Public-Token": shown, "Origin": APP}, json=body)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, APP)


@pytest.mark.parametrize(
    "origin", [OTHER, "null", "http://app.example", "https://app.example:8443", "https://app.example.", ""]
)
def test_another_page_is_refused_and_can_read_nothing(offline: OfflineGateway, origin: str) -> None:
    key, _ = token(offline, APP)
    plain, _ = token(offline)
    for shown in (key, plain):
        answer = offline.send("POST", "/event", headers={"X-Public-Token": shown, "Origin": origin}, json=EVENT)
        assert (answer.status_code, cors_of(answer)) == (403, [])
        assert "axonstream keys create --public --origin" in answer.json()["hint"]
    asked = preflight(offline, origin)
    assert (asked.status_code, cors_of(asked)) == (403, [])
    assert offline.log.records == []


def test_the_origin_of_another_token_is_none_of_this_one(offline: OfflineGateway) -> None:
    """The preflight is answered for any token's origin; the publish for those of its own token alone."""
    mine, _ = token(offline, APP)
    token(offline, OTHER, tenant="4")
    assert preflight(offline, OTHER).status_code == 204
    assert b"4" not in preflight(offline, OTHER).content
    answer = offline.send("POST", "/event", headers={"X-Public-Token": mine, "Origin": OTHER}, json=EVENT)
    assert (answer.status_code, cors_of(answer)) == (403, [])


def test_a_server_without_an_origin_publishes_with_any_public_token(offline: OfflineGateway) -> None:
    for key, _ in (token(offline, APP), token(offline)):
        answer = offline.send("POST", "/event", headers={"X-Public-Token": key}, json=EVENT)
        assert (answer.status_code, cors_of(answer)) == (200, [])


@pytest.mark.parametrize("headers", [HEADERS, {"x-axonpush-api-key": "ak_local"}])
def test_no_page_uses_a_key_that_is_no_public_token(offline: OfflineGateway, headers: dict[str, str]) -> None:
    """A page of the gateway's own address is no foreign one."""
    token(offline, APP)
    for method, path in (
        ("POST", "/event"),
        ("POST", "/events"),
        ("GET", "/apps"),
        ("GET", "/traces"),
        ("GET", "/live"),
    ):
        for origin in (APP, OTHER, "null"):
            answer = offline.send(method, path, headers={**headers, "Origin": origin}, json=EVENT)
            assert (answer.status_code, cors_of(answer)) == (403, []), (method, path, origin)
    own = offline.send("POST", "/event", headers={**headers, "Origin": "http://127.0.0.1"}, json=EVENT)
    assert (own.status_code, cors_of(own)) in ((200, []), (201, []))


@pytest.mark.slow
def test_no_other_call_is_for_pages(offline: OfflineGateway) -> None:
    key, _ = token(offline, APP)
    for path in offline.paths() - {"/event", "/events"}:
        place = path.replace("{", "").replace("}", "")
        asked = preflight(offline, APP, place)
        assert (asked.status_code, cors_of(asked)) == (405, []), path
        for method in ("GET", "POST"):
            answer = offline.send(method, place, headers={"X-Public-Token": key, "Origin": APP}, json=EVENT)
            assert cors_of(answer) == [], (method, path)
    for method in ("GET", "DELETE", ""):
        assert preflight(offline, APP, "/events", method).status_code == 403
    assert cors_of(offline.send("GET", "/events", headers={"X-Public-Token": key, "Origin": APP})) == []


def test_an_origin_ends_with_its_last_valid_token(offline: OfflineGateway) -> None:
    _, first = token(offline, APP)
    _, second = token(offline, APP, tenant="4")
    token(offline, OTHER, expires_in_ms=5)
    assert preflight(offline, OTHER).status_code == 403
    for tenant, number, after in (("3", first, 204), ("4", second, 403)):
        asyncio.run(offline.control.write(revocation(tenant, number), an_entry()))
        assert preflight(offline, APP).status_code == after


def test_before_the_control_data_is_read_a_preflight_is_503(offline: OfflineGateway) -> None:
    offline.control.data.loaded = False
    assert preflight(offline, APP).status_code == 503


def test_a_token_of_an_earlier_version_names_no_origin(offline: OfflineGateway) -> None:
    key, number = token(offline, APP)
    [(place, value)] = offline.control.topic
    old = {name: member for name, member in orjson.loads(value or b"").items() if name != "origins"}
    assert len(old) == 9
    assert decode_record(place, orjson.dumps(old)).contents is not None
    offline.control.data.read(place, orjson.dumps(old))
    assert offline.control.data.tenant("3").keys[number].origins == ()
    for origin, status in ((None, 200), (APP, 403)):
        headers = {"X-Public-Token": key} | ({} if origin is None else {"Origin": origin})
        assert offline.send("POST", "/event", headers=headers, json=EVENT).status_code == status


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://app.example", APP),
        ("HTTPS://App.Example:443", APP),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("https://[2001:DB8:0::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(given: str, kept: str) -> None:
    assert read_origin(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        "*", "null", "", "app.example", "https://", "https://app.example/", "https://app.example/a", "https://a@b",
        "https://*.example", "ftp://app.example", "https://app.example:0", "https://app.example:70000", "https://é.example",
        "https://app example", "https://[1]", "https://app.example?x", "https://app.example\n", "file:///", "https://-a.example",
    ],
)  # fmt: skip
def test_what_is_no_origin_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        read_origin(given)
    with pytest.raises(KeyRefusedError):
        make_key(
            ControlData(SECRET), SECRET, tenant_id="3", name="n", creator="c", scopes=[KeyScope.INGEST], public=True,
            now_ms=0, expires_at=None, origins=[given],
        )  # fmt: skip


@pytest.mark.parametrize(
    ("public", "origins", "said"),
    [
        (False, [APP], "public tokens alone"),
        (True, [f"https://a{n}.example" for n in range(MAX_ORIGINS + 1)], "or fewer"),
    ],
)
def test_origins_that_a_key_cannot_have_are_refused(public: bool, origins: list[str], said: str) -> None:
    with pytest.raises(KeyRefusedError, match=said):
        make_key(
            ControlData(SECRET), SECRET, tenant_id="3", name="n", creator="c", scopes=[KeyScope.INGEST], public=public,
            now_ms=0, expires_at=None, origins=origins,
        )  # fmt: skip
