"""/openapi.json says what the server does: every route is in it, and real answers fit its forms."""

from __future__ import annotations

from dataclasses import replace

from pydantic import ConfigDict, TypeAdapter, with_config

from axonstream.gateway.control.credentials import ApiVersion
from axonstream.gateway.routing.answers import (
    EventAnswer,
    FirstError,
    SummaryAnswer,
    TraceFigures,
    summary_answer,
    trace_answer,
)
from kit.offline_gateway import OfflineGateway


def test_every_route_is_described(offline: OfflineGateway) -> None:
    document = offline.send("GET", "/openapi.json", headers={}).json()
    assert set(document["paths"]) | {"/openapi.json"} == offline.paths()
    assert {"EventInput", "EventAnswer", "SummaryAnswer", "ErrorAnswer"} <= set(document["components"]["schemas"])


def test_answers_fit_their_forms(offline: OfflineGateway) -> None:
    event = offline.send("POST", "/event", json={"identifier": "a", "payload": {}, "channel_id": 1}).json()
    strict = with_config(ConfigDict(extra="forbid", strict=True))
    TypeAdapter(strict(EventAnswer)).validate_python(event)
    figures = TraceFigures("tr_1", 1, [1, 0, 0], 5, 9, ["a"], ["agent.error"], FirstError(1, 1, "", "b", ""))
    summary = summary_answer(figures, [event], ApiVersion.V0)
    assert TypeAdapter(strict(SummaryAnswer)).validate_python(summary)["durationMs"] == 4


def test_what_is_not_known_of_a_trace_is_null() -> None:
    """0 tokens, no cost and no session are answers; nobody has counted them."""
    figures = TraceFigures("tr_1", 1, [0, 0, 0], 5, 9, ["a"], ["agent.start"], None, "production")
    row = trace_answer(figures, ApiVersion.V1)
    unknown = "costUsd customer models providers release rootSpanName serviceName sessionId totalTokens userId workflow"
    assert {name: row[name] for name in [*unknown.split(), "firstError", "firstErrorType"]} == dict.fromkeys(
        [*unknown.split(), "firstError", "firstErrorType"]
    )
    assert row["environment"] == "production"
    assert trace_answer(replace(figures, environment=""), ApiVersion.V1)["environment"] is None


def test_the_calls_of_one_path_are_told_together(offline: OfflineGateway) -> None:
    refused = offline.send("DELETE", "/events")
    assert refused.status_code == 405
    assert set(refused.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_what_any_request_may_be_refused_for_is_told_of_every_call(offline: OfflineGateway) -> None:
    document = offline.send("GET", "/openapi.json", headers={}).json()
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            expected = {"400", "421", "431"} | (
                {"413", "415"} if "requestBody" in call and path != "/v1/traces" else set()
            )
            assert expected <= set(call["responses"]), (method, path)
