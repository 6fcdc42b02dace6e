"""Apps, channels and webhook endpoints over HTTP, in both generations' forms, without Kafka."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ConfigDict, TypeAdapter, with_config

from axonstream.gateway.control.data import BUILT_IN
from axonstream.gateway.control.records import App, ControlRecord, Kind, Place
from axonstream.gateway.managing import answers as forms
from kit.offline_gateway import OfflineGateway

RECENT = {"x-axonpush-api-key": "ak_local"}
OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}
EVENT: dict[str, Any] = {"identifier": "step", "payload": {}, "channel_id": 1}
ENDPOINT: dict[str, Any] = {"url": "https://example.com/hook?a=1", "channelId": 1}


def created(offline: OfflineGateway, path: str, body: dict[str, Any], **request: Any) -> dict[str, Any]:
    answer = offline.send("POST", path, json=body, **request)
    assert answer.status_code == 201, answer.text
    return answer.json()


def fits(form: Any, answer: object) -> None:
    TypeAdapter(with_config(ConfigDict(extra="forbid", strict=True))(form)).validate_python(answer)


def test_an_app_is_made_read_renamed_and_deleted(offline: OfflineGateway) -> None:
    app = created(offline, "/apps", {"name": "pipeline"})
    fits(forms.AppAnswer, app)
    assert isinstance(app["id"], int)
    assert (app["id"], app["orgId"], app["name"], app["ok"]) == (app["appId"], 1, "pipeline", True)
    path = f"/apps/{app['id']}"
    assert offline.send("GET", path).json() == app
    renamed = offline.send("PATCH", path, json={"name": "other"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "other")
    assert renamed.json()["createdAt"] == app["createdAt"]
    assert [row["name"] for row in offline.send("GET", "/apps").json()] == ["default", "other"]
    gone = offline.send("DELETE", path)
    assert (gone.status_code, gone.json()["ok"]) == (200, True)
    assert offline.send("GET", path).status_code == 404
    assert offline.send("DELETE", path).status_code == 404


def test_a_recent_client_has_strings_and_wrapped_lists(offline: OfflineGateway) -> None:
    app = created(offline, "/apps", {"name": "a"}, headers=RECENT)
    assert isinstance(app["appId"], str)
    channel = created(offline, f"/apps/{app['appId']}/channels", {"name": "c"}, headers=RECENT)
    fits(forms.ChannelAnswer, channel)
    assert (channel["appId"], channel["channelId"], channel["orgId"]) == (app["appId"], channel["id"], "1")
    endpoint = ENDPOINT | {"channelId": channel["channelId"]}
    hook = created(offline, "/webhooks/endpoints", endpoint, headers=RECENT)
    fits(forms.NewEndpointAnswer, hook)

    def read(path: str) -> Any:
        return offline.send("GET", path, headers=RECENT).json()

    assert [row["appId"] for row in read("/apps")["apps"]] == ["1", app["appId"]]
    assert read(f"/apps/{app['appId']}/channels") == {"channels": [channel]}
    assert read(f"/apps/{app['appId']}/channels/{channel['channelId']}") == channel
    listed = read(f"/webhooks/endpoints/channel/{channel['channelId']}")["data"]
    assert listed == [{name: value for name, value in hook.items() if name not in ("secret", "rawSecret")}]
    assert read(f"/webhooks/deliveries/{hook['endpointId']}") == {"data": []}
    path = f"/apps/{app['appId']}/channels/{channel['channelId']}"
    assert offline.send("PUT", path, headers=RECENT, json={"name": "d"}).json()["name"] == "d"
    assert offline.send("GET", f"/apps/1/channels/{channel['channelId']}", headers=RECENT).status_code == 404
    assert offline.send("DELETE", path, headers=RECENT).json()["ok"] is True
    assert read(f"/apps/{app['appId']}/channels") == {"channels": []}


def test_a_channel_is_made_read_changed_and_deleted(offline: OfflineGateway) -> None:
    app = created(offline, "/apps", {"name": "a"})
    channel = created(offline, "/channel", {"name": "c", "appId": 1})
    path = f"/channel/{channel['id']}"
    assert offline.send("GET", path).json() == channel
    assert offline.send("POST", "/event", json=EVENT | {"channel_id": channel["id"]}).status_code == 201
    moved = offline.send("PUT", path, json={"appId": str(app["id"])}).json()
    assert (moved["appId"], moved["name"]) == (app["id"], "c")
    assert [row["id"] for row in offline.send("GET", f"/apps/{app['id']}/channels").json()] == [channel["id"]]
    assert offline.send("DELETE", path).json()["ok"] is True
    assert offline.send("GET", path).status_code == 404


def test_with_an_app_go_its_channels_and_with_a_channel_its_endpoints(offline: OfflineGateway) -> None:
    app = created(offline, "/apps", {"name": "a"})
    channel = created(offline, "/channel", {"name": "c", "appId": app["id"]})
    hook = created(offline, "/webhooks/endpoints", ENDPOINT | {"channelId": channel["id"]})
    assert offline.send("DELETE", f"/apps/{app['id']}").status_code == 200
    assert offline.send("GET", f"/channel/{channel['id']}").status_code == 404
    assert offline.send("GET", f"/webhooks/deliveries/{hook['id']}").status_code == 404


@pytest.mark.parametrize("path", ["/apps/1", "/channel/1", "/channel/2", "/apps/1/channels/2"])
def test_what_is_there_from_the_start_is_renamed_and_not_deleted(offline: OfflineGateway, path: str) -> None:
    assert offline.send("GET", path).status_code == 200
    refused = offline.send("DELETE", path)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    method = "PATCH" if path == "/apps/1" else "PUT"
    assert offline.send(method, path, json={"name": "mine"}).json()["name"] == "mine"
    assert offline.send("GET", path, headers=OTHER).json()["name"] != "mine"


def test_publishing_to_a_channel_that_nobody_made_makes_it(offline: OfflineGateway) -> None:
    assert offline.send("GET", "/channel/57").status_code == 404
    assert offline.send("POST", "/event", json=EVENT | {"channel_id": 57}).status_code == 201
    channel = offline.send("GET", "/channel/57").json()
    assert (channel["name"], channel["appId"]) == ("channel 57", 1)
    writes = len(offline.control.topic)
    bulk = [EVENT | {"channel_id": number} for number in (57, 58, 59, 58)]
    assert offline.send("POST", "/events", json=bulk).json()["accepted"] == 4
    assert len(offline.control.topic) == writes + 2
    assert offline.send("PUT", "/channel/57", json={"name": "mine"}).json()["name"] == "mine"
    assert offline.send("DELETE", "/channel/57").status_code == 200
    assert offline.send("GET", "/channel/57").status_code == 404
    assert offline.send("GET", "/channel/58", headers=OTHER).status_code == 404


def test_a_strict_server_refuses_channels_that_nobody_made() -> None:
    strict = OfflineGateway(strict_channels=True)
    refused = strict.send("POST", "/event", json=EVENT | {"channel_id": 57})
    assert (refused.status_code, refused.json()["message"]) == (404, "there is no channel 57")
    bulk = strict.send("POST", "/events", json=[EVENT, EVENT | {"channel_id": 57}, EVENT | {"identifier": ""}]).json()
    assert (bulk["accepted"], [row["index"] for row in bulk["rejected"]]) == (1, [1, 2])
    assert len(strict.log.records) == 1
    channel = created(strict, "/channel", {"name": "c", "appId": 1})
    assert strict.send("POST", "/event", json=EVENT | {"channel_id": channel["id"]}).status_code == 201


def test_publishing_makes_so_many_channels_and_no_more(
    offline: OfflineGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axonstream.gateway.control.published_channels.MAX_PUBLISHED_CHANNELS", 3)
    bulk = offline.send("POST", "/events", json=[EVENT | {"channel_id": number} for number in range(10, 15)]).json()
    assert (bulk["accepted"], [row["index"] for row in bulk["rejected"]]) == (3, [3, 4])
    assert sorted(offline.control.data.tenant("1").published_channels) == [10, 11, 12]
    refused = offline.send("POST", "/event", json=EVENT | {"channel_id": 99})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "3 channels already" in refused.json()["message"]
    assert offline.send("POST", "/event", headers=OTHER, json=EVENT | {"channel_id": 99}).status_code == 201
    assert offline.send("DELETE", "/channel/10").status_code == 200
    assert offline.send("POST", "/event", json=EVENT | {"channel_id": 99}).status_code == 201


@pytest.mark.parametrize(
    ("limit", "path", "body"),
    [
        ("axonstream.gateway.managing.apps.MAX_APPS", "/apps", {"name": "a"}),
        ("axonstream.gateway.managing.channels.MAX_CHANNELS", "/channel", {"name": "c", "appId": 1}),
        ("axonstream.gateway.managing.webhook_endpoints.MAX_WEBHOOKS", "/webhooks/endpoints", ENDPOINT),
    ],
)
def test_beyond_a_limit_it_is_409_and_says_so(
    offline: OfflineGateway, monkeypatch: pytest.MonkeyPatch, limit: str, path: str, body: dict[str, Any]
) -> None:
    monkeypatch.setattr(limit, 3)
    answers = [offline.send("POST", path, json=body) for _ in range(4)]
    assert answers[-1].status_code == 409
    assert "has 3" in answers[-1].json()["message"]
    assert offline.send("POST", path, headers=OTHER, json=body).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/apps", {}, "name"),
        ("POST", "/apps", {"name": ""}, "name"),
        ("POST", "/apps", {"name": 7}, "name"),
        ("POST", "/apps", {"name": "x" * 257}, "name"),
        ("POST", "/apps", {"name": "a\x00"}, "name"),
        ("PATCH", "/apps/1", {"name": None}, "name"),
        ("POST", "/channel", {"name": "c"}, "appId"),
        ("POST", "/channel", {"name": "c", "appId": "one"}, "appId"),
        ("POST", "/channel", {"name": "c", "appId": True}, "appId"),
        ("POST", "/channel", {"name": "c", "appId": 99}, "appId"),
        ("PUT", "/channel/1", {"appId": 99}, "appId"),
        ("PUT", "/channel/1", {}, "there is nothing"),
        ("POST", "/webhooks/endpoints", ENDPOINT | {"channelId": 99}, "channelId"),
        ("POST", "/webhooks/endpoints", {"url": "https://a.b"}, "channelId"),
        ("POST", "/webhooks/endpoints", ENDPOINT | {"eventTypes": "a"}, "eventTypes"),
        ("POST", "/webhooks/endpoints", ENDPOINT | {"eventTypes": ["A b"]}, "eventTypes"),
        ("POST", "/webhooks/endpoints", ENDPOINT | {"eventTypes": ["a"] * 65}, "eventTypes"),
        ("POST", "/webhooks/endpoints", ENDPOINT | {"description": "x" * 1025}, "description"),
        ("POST", "/webhooks/endpoints", ENDPOINT | {"secret": "short"}, "secret"),
    ],
)
def test_a_wrong_field_is_named(
    offline: OfflineGateway, method: str, path: str, body: dict[str, Any], field: str
) -> None:
    answer = offline.send(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    message = answer.json()["message"]
    assert (message if isinstance(message, str) else message[0]).startswith(field)
    assert offline.control.topic == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"a"', b"null"])
def test_a_body_that_is_no_object_is_400(offline: OfflineGateway, body: bytes) -> None:
    for method, path in (("POST", "/apps"), ("PUT", "/channel/1"), ("POST", "/webhooks/endpoints")):
        assert offline.send(method, path, content=body).status_code == 400


READS = [
    "/apps", "/apps/{}", "/apps/{}/channels", "/apps/1/channels/{}", "/channel/{}",
    "/webhooks/endpoints/channel/{}", "/webhooks/deliveries/{}",
]  # fmt: skip


@pytest.mark.parametrize("number", ["7", "abc", "-1", "1.5", "9" * 30, "9223372036854775808", "%C3%A9", "²"])
@pytest.mark.parametrize("path", READS[1:])
def test_an_id_that_names_nothing_is_404(offline: OfflineGateway, path: str, number: str) -> None:
    answer = offline.send("GET", path.format(number))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_without_kafka_reads_are_answered_and_changes_are_503(offline: OfflineGateway) -> None:
    offline.control.acknowledges = False
    calls = [("POST", "/apps", {"name": "a"}), ("PATCH", "/apps/1", {"name": "a"})]
    calls += [("POST", "/channel", {"name": "c", "appId": 1}), ("PUT", "/channel/1", {"name": "c"})]
    calls += [("POST", "/webhooks/endpoints", ENDPOINT), ("POST", "/event", EVENT | {"channel_id": 7})]
    for method, path, body in calls:
        answer = offline.send(method, path, json=body)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"].isdecimal()
    for path in READS:
        assert offline.send("GET", path.format(1)).status_code == (503 if "deliveries" in path else 200)
    assert offline.log.records == []


def test_before_the_control_data_is_read_everything_managed_is_503(offline: OfflineGateway) -> None:
    offline.control.data.loaded = False
    for path in READS:
        assert offline.send("GET", path.format(1)).status_code == 503


def test_built_in_places_survive_a_tombstone(offline: OfflineGateway) -> None:
    data = offline.control.data
    data.apply(ControlRecord(Place(Kind.APP, "1", 1), App(1, "renamed", 0, 9)))
    for kind, numbers in BUILT_IN.items():
        for number in numbers:
            data.apply(ControlRecord(Place(kind, "1", number), None))
    assert data.tenant("1").apps[1].name == "default"
    assert data.tenant("1").channel_apps == {1: 1, 2: 1}
