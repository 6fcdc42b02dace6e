"""Every call that /openapi.json describes, with what its forms allow and what they do not, as schemathesis draws it.

What the forms do not allow is refused; no answer is a 5xx; each has a status, a content type, headers and a body that
the document names for this call. Calls that need no Kafka and no ClickHouse go to a gateway in this process, the reads
to one that runs. Live streams have no end, and tests of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from secrets import token_hex
from typing import Any, cast

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from pydantic import SecretStr
from schemathesis import Case, CheckFunction, SerializationContext
from schemathesis.checks import CHECKS
from schemathesis.core.parameters import ParameterLocation

from axonstream.gateway.openapi import document
from axonstream.local.free_ports import free_port
from axonstream.settings.settings import Settings
from kit.gateway_process import gateway_process
from kit.offline_gateway import OfflineGateway

GENERATIONS = {"early": {"X-API-Key": "ak_drawn", "x-tenant-id": "77"}, "recent": {"x-axonpush-api-key": "ak_drawn"}}
KEY_HEADERS = {"x-api-key", "x-tenant-id", "x-axonpush-api-key", "x-public-token"}
PATHS = document()["paths"]
STREAMS = [path for path, calls in PATHS.items() if "text/event-stream" in str(calls)]
READS = [path for path in PATHS if path.startswith("/traces") or path in ("/event/{channel_id}/list", "/health/ready")]
SCHEMA = schemathesis.openapi.from_dict(document())
SCHEMA.config.phases.coverage.enabled = settings.get_current_profile_name() == "soak"  # every limit of every field
CALLS = SCHEMA.exclude(path=STREAMS)
OFFLINE = CALLS.exclude(path=READS).exclude(method="GET", path="/events")
# What deletes would take the one trace from the reads; tests/gateway/test_deleting.py asks it what is wrong, and right.
RUNNING = CALLS.include(path=READS).include(method="GET", path="/events").exclude(method="DELETE")
UNCHECKED = {
    "ignored_auth",  # asks again without a key, by itself; tests/gateway/test_keys.py does
    "positive_data_acceptance",  # limits in bytes, and references to what exists, cannot stand in a form
}
BOUNDED = settings(
    max_examples=max(2, settings().max_examples // 10),
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
    ],  # one gateway for all examples of a call
)


TRACE = f"tr_{token_hex(8)}"


@schemathesis.serializer("application/x-ndjson", "application/x-protobuf")
def _as_it_is(_: SerializationContext, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value)  # integers of any size, which orjson refuses
    return text.encode("utf-8", "replace")


@pytest.fixture
def offline() -> OfflineGateway:
    return OfflineGateway(api_keys=SecretStr("ak_drawn=77"))


@pytest.fixture(scope="module")
def running(stack_settings: Settings) -> Iterator[httpx.Client]:
    """A gateway of the session's stack, with the key of a tenant that no other test has, and one trace of it."""
    port = free_port()
    with gateway_process(stack_settings, port, "ak_drawn=77") as (_, printed):
        assert printed.readline() == "ready gateway\n"
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            event = {"identifier": "a", "payload": {}, "channel_id": 1, "traceId": TRACE, "eventType": "agent.error"}
            assert client.post("/event", json=event, headers=GENERATIONS["early"]).status_code == 201
            yield client


@OFFLINE.parametrize()  # pyright: ignore[reportUntypedFunctionDecorator]  schemathesis has no type for it
@pytest.mark.parametrize("generation", GENERATIONS)
@BOUNDED
def test_publishing_and_managing_answer_as_the_document_says(
    case: Case[Any], generation: str, offline: OfflineGateway
) -> None:
    _name_what_exists(case, offline)
    request = _request(case, GENERATIONS[generation])
    answer = offline.send(path=request.pop("url"), **request)
    excluded: set[str] = set()
    if case.path == "/events":  # a wrong event is refused by itself
        excluded = {"negative_data_rejection"}
        if answer.status_code == 200 and _is_wrong(case, ParameterLocation.BODY):
            assert answer.json()["rejected"]
    elif case.path == "/v1/traces":  # 501
        excluded = {"not_a_server_error"}
    _check(case, answer, excluded)


@RUNNING.parametrize()  # pyright: ignore[reportUntypedFunctionDecorator]
@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.services
@BOUNDED
def test_reads_answer_as_the_document_says(case: Case[Any], generation: str, running: httpx.Client) -> None:
    if not _is_wrong(case, ParameterLocation.PATH):
        known = {"trace_id": TRACE, "channel_id": "1"}
        case.path_parameters = {name: known[name] for name in case.path_parameters}
    _check(case, running.request(**_request(case, GENERATIONS[generation])), set())


def _is_wrong(case: Case[Any], place: ParameterLocation) -> bool:
    assert case.meta is not None
    part = case.meta.components.get(place)
    return part is not None and part.mode.is_negative


def _name_what_exists(case: Case[Any], offline: OfflineGateway) -> None:
    """The ids in path and body become those of objects that were just made, where they are not meant to be wrong."""

    def made(path: str, **fields: object) -> int:
        return offline.send("POST", path, json=fields, headers=GENERATIONS["early"]).json()["id"]

    if "_id}" not in case.path and "Id" not in str(case.body):
        return
    app = made("/apps", name="a")
    channel = made("/channel", name="c", appId=app)
    endpoint = made("/webhooks/endpoints", url="http://a.com", channelId=channel)
    if not _is_wrong(case, ParameterLocation.PATH):
        known = {"app_id": app, "channel_id": channel, "endpoint_id": endpoint}
        case.path_parameters = {name: str(known[name]) for name in case.path_parameters}
    if isinstance(case.body, dict) and not _is_wrong(case, ParameterLocation.BODY):
        exists = {"appId": app, "channelId": channel, "url": "http://a.com"}
        case.body |= {name: value for name, value in exists.items() if name in case.body}


def _request(case: Case[Any], key: dict[str, str]) -> dict[str, Any]:
    """The case as httpx sends it, with this key and no other."""
    for name in KEY_HEADERS:
        case.headers.pop(name, None)
    request: dict[str, Any] = case.as_transport_kwargs(base_url="", headers=key)
    del request["cookies"]
    if "data" in request:
        request["content"] = request.pop("data")
    return request


def _check(case: Case[Any], answer: httpx.Response, excluded: set[str]) -> None:
    checks = [CHECKS.get_one(name) for name in UNCHECKED | excluded]
    case.validate_response(answer, excluded_checks=cast("list[CheckFunction]", checks))
