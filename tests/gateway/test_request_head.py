"""No two readers of a request's headers may read different things, and a page's own name is no name of a gateway."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from http_by_hand import PATIENCE_S, answer, serving, statuses

from axonstream.gateway.http.request_head import allowed_hosts
from axonstream.gateway.openapi import document
from kit.offline_gateway import HEADERS, OfflineGateway

CALLS = [(method.upper(), path) for path, calls in document()["paths"].items() for method in calls]
ONCE = ["X-API-Key", "x-tenant-id", "x-axonpush-api-key", "X-Public-Token", "Authorization", "Host", "Content-Encoding"]
EVENT = {"identifier": "step", "payload": {}, "channel_id": 1}
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def ask(offline: OfflineGateway, method: str, path: str, headers: list[tuple[str, str]]) -> httpx.Response:
    filled = path.replace("{", "").replace("}", "")
    return offline.send(method, filled, headers=headers, content=b"{}" if method in ("POST", "PUT", "PATCH") else None)


@pytest.mark.parametrize("name", ONCE)
def test_a_header_that_decides_stands_once_on_every_route(offline: OfflineGateway, name: str) -> None:
    """S16: the last of two keys was taken, where a proxy in front may have judged the first."""
    good = {**HEADERS, "Host": "127.0.0.1"}
    for method, path in CALLS:
        rest = [(key, value) for key, value in good.items() if key != name]
        twice = [(name, good.get(name, "ak_local")), (name.lower(), good.get(name, "ak_other"))]
        refused = ask(offline, method, path, [*rest, *twice])
        assert refused.status_code == 400, (method, path)
        assert f"{name.lower()} is there 2 times" in refused.json()["message"]
    assert offline.log.records == []


def test_other_headers_may_stand_twice_and_a_traceparent_that_does_is_ignored(offline: OfflineGateway) -> None:
    """S16: https://www.w3.org/TR/trace-context/ starts a new trace for more than one."""
    headers = [*HEADERS.items(), ("Accept", "a"), ("Accept", "b")]
    once = offline.send("POST", "/event", json=EVENT, headers=[*headers, ("traceparent", TRACEPARENT)])
    assert once.json()["traceId"] == TRACEPARENT.split("-")[1]
    twice = offline.send("POST", "/event", json=EVENT, headers=[*headers, *[("traceparent", TRACEPARENT)] * 2])
    assert twice.status_code == 201
    assert twice.json()["traceId"].startswith("tr_")


def test_a_request_of_http_1_1_has_a_host() -> None:
    """S16: RFC 9112 3.2; HTTP/1.0 knew none."""
    head = b"%b HTTP/%b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving() as port:
            for call, status in ((b"POST /event", 201), (b"GET /nothing", 404)):
                came = await answer(port, [head % (call, b"1.1")])
                assert statuses(came) == [400]
                assert b"the header Host is missing" in came
                assert statuses(await answer(port, [head % (call, b"1.0")])) == [status]

    asyncio.run(scenario())


FOREIGN = [
    "rebound.example:8080",
    "rebound.example",
    "127.0.0.1.rebound.example",
    "localhost.",
    "",
    "[::2]:80",
    "a:b:c",
]
OWN = ["127.0.0.1:8080", "127.0.0.1", "localhost:8080", "LOCALHOST", "[::1]:9000", "[::1]"]


@pytest.mark.parametrize("host", FOREIGN)
def test_on_loopback_a_foreign_host_is_misdirected_on_every_route(offline: OfflineGateway, host: str) -> None:
    """S8: a web page that lets its own name resolve to 127.0.0.1 was answered 200."""
    for method, path in CALLS:
        refused = ask(offline, method, path, [*HEADERS.items(), ("Host", host)])
        assert refused.status_code == 421, (method, path)
        assert refused.json()["code"] == "misdirected_request"
        assert "AXONSTREAM_GATEWAY_HOSTS" in refused.json()["hint"]
    assert offline.log.records == []


@pytest.mark.parametrize("host", OWN)
def test_on_loopback_the_names_of_loopback_are_answered_at_any_port(offline: OfflineGateway, host: str) -> None:
    for _ in range(2):
        assert offline.send("POST", "/event", json=EVENT, headers=[*HEADERS.items(), ("Host", host)]).is_success
        assert offline.send("GET", "/health/live", headers=[("Host", host)]).is_success


def test_elsewhere_any_host_is_answered_unless_the_settings_name_them() -> None:
    assert allowed_hosts("0.0.0.0", "") is None
    assert allowed_hosts("gateway.internal", "") is None
    assert allowed_hosts("::1", "") == {"127.0.0.1", "localhost", "[::1]"}
    assert allowed_hosts("127.0.0.9", "") == {"127.0.0.1", "localhost", "[::1]", "127.0.0.9"}
    open_to_all = OfflineGateway(gateway_host="0.0.0.0")
    assert open_to_all.send("GET", "/health/live", headers={"Host": "any.example"}).status_code == 200
    named = OfflineGateway(gateway_hosts="events.example.com, Other.example")
    for host, status in (("events.example.com", 200), ("other.example:443", 200), ("127.0.0.1", 421)):
        assert named.send("GET", "/health/live", headers={"Host": host}).status_code == status
