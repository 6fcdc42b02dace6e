"""Webhook endpoints: which URLs are taken, how secrets are kept; and OTLP, which is not taken yet."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from axonstream.gateway.control.webhook_secrets import WebhookSecrets
from kit.offline_gateway import HEADERS, SERVER_SECRET, OfflineGateway

RECENT = {"x-axonpush-api-key": "ak_local"}
ENDPOINT: dict[str, Any] = {"url": "https://example.com/hook?a=1", "channelId": 1}


def created(offline: OfflineGateway, body: dict[str, Any]) -> dict[str, Any]:
    answer = offline.send("POST", "/webhooks/endpoints", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_at_the_limit_an_endpoint_that_was_deactivated_makes_room(
    offline: OfflineGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axonstream.gateway.managing.webhook_endpoints.MAX_WEBHOOKS", 2)
    first, second = (created(offline, ENDPOINT)["id"] for _ in range(2))
    assert offline.send("DELETE", f"/webhooks/endpoints/{first}").json()["ok"] is True
    listed = offline.send("GET", "/webhooks/endpoints/channel/1").json()
    assert {row["id"]: (row["active"], row["hasSecret"]) for row in listed} == {
        first: (False, False), second: (True, True)
    }  # fmt: skip
    third = created(offline, ENDPOINT)["id"]
    assert {row["id"] for row in offline.send("GET", "/webhooks/endpoints/channel/1").json()} == {second, third}


def test_a_webhook_secret_is_told_once_and_kept_encrypted(offline: OfflineGateway) -> None:
    given = created(offline, ENDPOINT | {"secret": "my own secret", "eventTypes": ["a", "a"]})
    made = created(offline, ENDPOINT | {"description": "é"})
    assert given["secret"] == "my own secret"
    assert (given["eventTypes"], made["eventTypes"]) == (["a"], [])
    assert made["secret"].startswith("whsec_")
    listed = offline.send("GET", "/webhooks/endpoints/channel/1").text
    for secret in (given["secret"], made["secret"]):
        assert secret not in listed
        assert not [value for _, value in offline.control.topic if value and secret.encode() in value]
    sealed = offline.control.data.tenant("1").webhooks[given["id"]].sealed_secret
    assert WebhookSecrets(SERVER_SECRET.encode()).open(sealed) == "my own secret"
    assert WebhookSecrets(b"another server secret").open(sealed) is None


def test_without_a_server_secret_an_endpoint_is_501() -> None:
    plain = OfflineGateway(server_secret=SecretStr(""))
    refused = plain.send("POST", "/webhooks/endpoints", json=ENDPOINT)
    assert (refused.status_code, refused.json()["code"]) == (501, "not_implemented")
    assert "AXONSTREAM_SERVER_SECRET" in refused.json()["hint"]


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "ftp://a.b", "file:///etc/passwd", "javascript:alert(1)", "http://", "https://:443", "//a.b/c",
        "http://a b", "http://a.b:0", "http://a.b:99999", "http://user:password@a.b", "http://[::1", "http://é.b",
        "http://a.b/\n", "https://a.b/" + "x" * 2048, 7, None,
    ],
)  # fmt: skip
def test_a_webhook_url_that_is_no_http_url_is_400(offline: OfflineGateway, url: object) -> None:
    answer = offline.send("POST", "/webhooks/endpoints", json=ENDPOINT | {"url": url})
    assert answer.status_code == 400
    assert answer.json()["message"][0].startswith("url must be")


def test_otlp_is_501_for_who_may_publish(offline: OfflineGateway) -> None:
    for headers in (HEADERS, RECENT, {"Authorization": "Bearer ak_local"}):
        answer = offline.send("POST", "/v1/traces", headers=headers, content=b"\x0a")
        assert (answer.status_code, answer.json()["code"]) == (501, "not_implemented")
        assert "nothing was stored" in answer.json()["message"]
    for headers in ({}, {"Authorization": "Bearer ak_wrong"}, {"Authorization": "Basic ak_local"}):
        assert offline.send("POST", "/v1/traces", headers=headers, content=b"").status_code == 401
