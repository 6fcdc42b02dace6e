"""A query parameter that is not known is refused with the nearest name that is: it would leave a list unfiltered."""

from __future__ import annotations

import pytest

from axonstream.gateway.http.known_parameters import check_query
from axonstream.gateway.reading.event_lists import NOT_SEARCHED
from kit.offline_gateway import OfflineGateway

# Their answer is one of state: whoever asks may add what it likes, a load balancer for one.
PROBES = {"/health/live", "/health/ready", "/metrics", "/openapi.json"}


@pytest.mark.slow
def test_every_call_refuses_what_it_does_not_know_and_takes_what_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axonstream.gateway.live.reader.START_S", 0.01)  # a call that is taken would wait for Kafka
    offline = OfflineGateway(read_wait_ms=1)
    document = offline.send("GET", "/openapi.json", headers={}).json()
    for path, calls in document["paths"].items():
        if path in PROBES:
            assert offline.send("GET", f"{path}?nonsense=1").status_code != 400
            continue
        for method, call in calls.items():
            if method == "options":
                continue
            where = path.replace("{", "").replace("}", "")
            refused = offline.send(method.upper(), f"{where}?nonsense=1")
            assert (refused.status_code, refused.json()["code"]) == (400, "validation_error"), (method, path)
            assert "unknown parameter nonsense" in refused.json()["message"], (method, path)
            for known in call.get("parameters", []):
                if known["in"] == "query":
                    answer = offline.send(method.upper(), f"{where}?{known['name']}=1")
                    assert "unknown parameter" not in str(answer.json()["message"]), (path, known["name"])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("/events?agent_id=writer", "unknown parameter agent_id; did you mean agentId?"),
        ("/traces?Limit=1", "unknown parameter Limit; did you mean limit?"),
        ("/traces?status=error", "unknown parameter status"),
        ("/traces?agentId=writer", "unknown parameter agentId"),
        ("/events?limit=1&offset=1", "unknown parameter offset"),
        ("/live?agent-id=a", "unknown parameter agent-id; did you mean agentId?"),
        ("/traces/t/events?limit=5", "unknown parameter limit"),
        ("/traces?%EF%BF%BD" + "x" * 500, "unknown parameter \ufffd" + "x" * 63),
    ],
)
def test_the_nearest_name_is_told(offline: OfflineGateway, query: str, message: str) -> None:
    error = offline.send("GET", query).json()
    assert error["statusCode"] == 400
    assert error["message"] == message


@pytest.mark.parametrize("path", ["/event", "/events"])
def test_publishing_takes_no_parameters(offline: OfflineGateway, path: str) -> None:
    answer = offline.send("POST", f"{path}?environment=prod", json={"identifier": "a", "payload": {}, "channel_id": 1})
    assert answer.status_code == 400
    assert "environment" in answer.json()["message"]
    assert offline.log.records == []
    assert check_query(b"", ()) == []


def test_what_public_clients_send_is_taken_and_named_where_it_does_nothing() -> None:
    assert check_query(b"q=x&limit=1&status=error", ["limit"], NOT_SEARCHED) == ["q", "status"]
