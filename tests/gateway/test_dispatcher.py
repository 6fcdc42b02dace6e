"""One way for all routes: the same checks, errors and counts, on the fast path and beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from inspect import getsource

import httpx
import pytest
from starlette.responses import Response

from axonstream.gateway.access.authentication import Authentication
from axonstream.gateway.access.rate_limits import RateLimits
from axonstream.gateway.app import create_app
from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.http.body_room import BodyRoom
from axonstream.gateway.http.errors import RateLimitedError, RefusedError, UnavailableError
from axonstream.gateway.http.known_parameters import IGNORED
from axonstream.gateway.http.request_counts import UNKNOWN_ROUTE, RequestCounts
from axonstream.gateway.http.request_head import RequestHead
from axonstream.gateway.routing.dispatcher import Dispatcher
from axonstream.gateway.routing.request import Answer, Handler, Request
from axonstream.gateway.routing.route import Route, RouteTable
from axonstream.kafka.errors import NotAcknowledgedError, PartitionsChangedError

KEY = {"X-API-Key": "ak_local", "x-tenant-id": "1"}
ERRORS: Mapping[str, tuple[Exception, int]] = {
    "refused": (RefusedError(409, "no", "do"), 409),
    "limited": (RateLimitedError("no", "do", 7), 429),
    "unavailable": (UnavailableError("no", "do"), 503),
    "not acknowledged": (NotAcknowledgedError("an address"), 503),
    "partitions": (PartitionsChangedError("now 3"), 503),
    "defect": (ValueError("a secret"), 500),
}


async def handler(request: Request) -> Answer:
    sent = await request.body.read(1 << 20, request.identity.tenant_id)
    if sent.decode() in ERRORS:
        raise ERRORS[sent.decode()][0]
    return Answer(201, b"[%d]" % len(sent))


def dispatcher(routes: list[Route]) -> tuple[Dispatcher, RequestCounts]:
    counts = RequestCounts()
    keys = Authentication({"ak_local": "1"}, ControlData(), b"", lambda: 0, RateLimits(0, 0, 1, lambda: 0.0))
    return Dispatcher(routes, RequestHead(None), keys, BodyRoom(), counts), counts


def ask(
    asked: Dispatcher, method: str, path: str, headers: Mapping[str, str] = KEY, body: bytes = b""
) -> httpx.Response:
    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(asked, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, headers=headers, content=body)

    return asyncio.run(answer())


def both(body: bytes = b"", headers: Mapping[str, str] = KEY, path: str = "/a") -> list[httpx.Response]:
    """The answers of the same route on the fast path and beside it, once both were counted alike."""
    answers: list[httpx.Response] = []
    for fast in (True, False):
        asked, counts = dispatcher([Route("POST", "/a", handler, KeyScope.INGEST, fast=fast, bearer=True)])
        answers.append(ask(asked, "POST", path, headers, body))
        assert {status: n for status, n in counts.answers["POST", "/a"].items() if n} == {answers[-1].status_code: 1}
        assert bool(counts.durations) != fast
    return answers


def told(answer: httpx.Response) -> tuple[object, ...]:
    body = answer.json()
    if answer.is_error:
        body.pop("requestId")
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "content-length")}
    return answer.status_code, body, headers


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_has_one_answer_and_one_count_whatever_the_path(name: str) -> None:
    fast, ordinary = both(name.encode())
    assert told(fast) == told(ordinary)
    assert fast.status_code == ERRORS[name][1]
    assert "secret" not in fast.text
    assert "address" not in fast.text


def test_what_comes_before_the_handler_is_the_same_on_both_paths() -> None:
    for headers, path, status in (
        (KEY, "/a", 201),
        (KEY, "/a?limit=1", 400),
        ({**KEY, "X-API-Key": "ak_wrong"}, "/a", 503),  # before the control data is read
        ({"x-tenant-id": "1"}, "/a", 401),
        ({"authorization": "Bearer ak_local"}, "/a", 201),
    ):
        fast, ordinary = both(b"body", headers, path)
        assert told(fast) == told(ordinary)
        assert fast.status_code == status


def test_a_defect_is_raised_for_the_log_after_its_answer() -> None:
    asked, _ = dispatcher([Route("POST", "/a", handler, KeyScope.INGEST, fast=True)])
    transport = httpx.ASGITransport(asked)

    async def scenario() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            await client.post("/a", headers=KEY, content=b"defect")

    with pytest.raises(ValueError, match="a secret"):
        asyncio.run(scenario())


def test_an_unknown_path_is_404_and_a_wrong_method_405_with_those_that_are_right() -> None:
    asked, counts = dispatcher(
        [Route(method, "/a/{id}", handler, KeyScope.INGEST) for method in ("GET", "PUT", "OPTIONS")]
    )
    assert ask(asked, "GET", "/b").status_code == 404
    refused = ask(asked, "BREW", "/a/7")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, PUT")
    assert set(counts.answers) == {("GET", UNKNOWN_ROUTE), ("other", "/a/{id}")}


def test_what_does_nothing_is_named_in_the_answer() -> None:
    async def empty(_: Request) -> Response:
        return Response()

    asked, _ = dispatcher([Route("GET", "/a", empty, None, ["limit"], ["q", "status"])])
    assert ask(asked, "GET", "/a?q=x&limit=1&status=error").headers[IGNORED] == "q, status"
    assert IGNORED not in ask(asked, "GET", "/a?limit=1").headers


def test_of_two_paths_that_fit_the_one_with_more_parts_is_taken_whatever_their_order() -> None:
    def made(method: str, path: str) -> Route:
        named: Handler = handler
        return Route(method, path, named)

    table = RouteTable([made("GET", "/t/{id*}"), made("DELETE", "/t/{id*}"), made("GET", "/t/{id*}/live")])
    assert table.find("GET", "/t/a/b/live").label == "/t/{id}/live"
    assert table.find("GET", "/t/a/b/live").path_params == {"id": "a/b"}
    assert table.find("GET", "/t/a\n/lives").path_params == {"id": "a\n/lives"}
    assert table.find("DELETE", "/t/a/live").path_params == {"id": "a/live"}
    assert table.labels == {"/t/{id}", "/t/{id}/live"}


def test_the_application_is_put_together_in_few_lines() -> None:
    assert len(getsource(create_app).splitlines()) < 40
