"""Which error an answer becomes, and what it tells. Each test with `ask` runs on both clients."""

from __future__ import annotations

import pickle
from typing import Any

import httpx
import pytest
from scripted_server import Ask, MakeAsk, Server

import axonstream
from axonstream import (
    AsyncAxonPush,
    AuthenticationError,
    AxonPush,
    AxonStreamError,
    ClientClosedError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    ServerError,
    UnexpectedAnswerError,
    ValidationError,
)

BY_STATUS = {
    400: ValidationError,
    401: AuthenticationError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    413: PayloadTooLargeError,
    422: ValidationError,
    429: RateLimitError,
    408: ServerError,
    425: ServerError,
    500: ServerError,
    503: ServerError,
    302: UnexpectedAnswerError,
    418: UnexpectedAnswerError,
}


@pytest.mark.parametrize(("status", "kind"), BY_STATUS.items())
def test_each_status_has_its_error(make_ask: MakeAsk, server: Server, status: int, kind: type[AxonStreamError]):
    server.script = [httpx.Response(status, json={"message": "words", "requestId": "r1", "hint": "do this"})]
    with pytest.raises(AxonStreamError) as caught:
        make_ask(max_retries=0)(lambda client: client.traces.list())
    error = caught.value
    assert type(error) is kind
    assert (error.status_code, error.request_id, error.hint) == (status, "r1", "do this")
    assert str(error) == f"words. do this (HTTP {status}, request r1)"


@pytest.mark.parametrize("status", BY_STATUS)
def test_an_error_without_words_still_says_what_to_do(make_ask: MakeAsk, server: Server, status: int):
    server.script = [httpx.Response(status, headers={"X-Request-Id": "r2"})]
    with pytest.raises(AxonStreamError) as caught:
        make_ask(max_retries=0)(lambda client: client.traces.list())
    assert caught.value.hint
    assert caught.value.request_id == "r2"
    assert str(caught.value)


def test_several_messages_are_joined(ask: Ask, server: Server):
    server.script = [httpx.Response(400, json={"message": ["payload is no object", "identifier is empty"]})]
    with pytest.raises(ValidationError, match="payload is no object; identifier is empty"):
        ask(lambda client: client.traces.list())


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"\xff\xfe", b"[1]", b"null", b'"text"', b""])
def test_a_proxys_error_page_is_an_error_too(make_ask: MakeAsk, server: Server, body: bytes):
    server.script = [httpx.Response(502, content=body)]
    with pytest.raises(ServerError):
        make_ask(max_retries=0)(lambda client: client.traces.list())


@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"", b"null", b"3", b'[{"a":1}]', b'{"traces":[]}'])
def test_an_answer_that_is_not_ours_is_told_and_not_returned(ask: Ask, server: Server, body: bytes):
    server.script = [httpx.Response(200, content=body)]
    with pytest.raises(UnexpectedAnswerError, match="base_url"):
        ask(lambda client: client.traces.get_summary("tr_1"))
    if body != b"":
        with pytest.raises(UnexpectedAnswerError, match="base_url"):
            ask(lambda client: client.traces.list())


def test_errors_survive_pickling():
    error = RateLimitError("slow down", status_code=429, request_id="r", hint="wait", retry_after=3.0, attempts=4)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (RateLimitError, str(error), vars(error))


@pytest.mark.parametrize("kind", [AxonPush, AsyncAxonPush])
@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("api_key", {"api_key": ""}),
        ("api_key", {"api_key": "ak\nX-Evil: 1"}),
        ("api_key", {"api_key": 7}),
        ("tenant_id", {"tenant_id": " 1"}),
        ("tenant_id", {"tenant_id": True}),
        ("base_url", {"base_url": "127.0.0.1:8080"}),
        ("base_url", {"base_url": "ftp://host"}),
        ("base_url", {"base_url": ""}),
    ],
)
def test_a_client_that_could_not_work_is_not_made(kind: Any, field: str, arguments: dict[str, Any]):
    with pytest.raises(ValidationError, match=field):
        kind(**{"api_key": "ak_local", "tenant_id": "1"} | arguments)


def test_a_tenant_may_be_a_number(server: Server):
    server.script = [httpx.Response(200, json=[])]
    with AxonPush("ak_local", 1, transport=httpx.MockTransport(server)) as client:
        client.traces.list()
    assert server.requests[0].headers["x-tenant-id"] == "1"


def test_a_closed_client_says_so(make_ask: MakeAsk, server: Server):
    ask = make_ask()
    close = "close" if hasattr(ask(lambda client: client), "close") else "aclose"
    ask(lambda client: getattr(client, close)())
    ask(lambda client: getattr(client, close)())
    with pytest.raises(ClientClosedError, match="closed"):
        ask(lambda client: client.traces.list())
    assert server.requests == []


def test_the_tree_of_the_docstring_is_the_tree_of_the_classes():
    def tree(kind: type[AxonStreamError]) -> set[str]:
        return {kind.__name__}.union(
            *(tree(child) for child in kind.__subclasses__() if child.__module__ == kind.__module__)
        )

    drawn = {line.strip("│├└─ ") for line in str(axonstream.__doc__).splitlines() if line.endswith("Error")}
    assert tree(AxonStreamError) == drawn
    assert drawn <= set(axonstream.__all__)
