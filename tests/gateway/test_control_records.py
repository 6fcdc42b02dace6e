"""What is on the control topic and no gateway wrote: left out, each with a line of the log, and nothing fails later."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from axonstream.contract.price_records import encode_price
from axonstream.contract.prices import Price
from axonstream.event_contract import MAX_ID, MAX_TIME_MS
from axonstream.gateway.control.records import ControlRecordError, decode_record
from kit.offline_gateway import OfflineGateway

APP: dict[str, Any] = {"id": 7, "name": "n", "created_at": 5, "updated_at": 5}
CHANNEL: dict[str, Any] = APP | {"app_id": 1}
KEY: dict[str, Any] = {
    "id": 7, "digest": "ab" * 32, "secret_id": "", "name": "n", "creator": "c", "scopes": ["read"], "public": False,
    "created_at": 5,
}  # fmt: skip
USE = {"id": 7, "at": 5}

STRANGE = [
    ("app", "1/7", APP | {"id": 8}),
    ("app", "1/7", APP | {"created_at": 10**30}),
    ("app", "1/7", APP | {"updated_at": -1}),
    ("app", "1/7", APP | {"updated_at": MAX_TIME_MS + 1}),
    ("app", f"1/{MAX_ID + 1}", APP | {"id": MAX_ID + 1}),
    ("app", "1/-7", APP | {"id": -7}),
    ("app", "1/07", APP),
    ("app", "1/ 7", APP),
    ("app", "1/٧", APP),
    ("app", "/7", APP),
    ("app", "7", APP),
    ("channel", "1/7", CHANNEL | {"app_id": 10**25}),
    ("channel", "1/7", CHANNEL | {"name": None}),
    ("key", "1/7", KEY | {"digest": "no hex"}),
    ("key", "1/7", KEY | {"digest": "ab"}),
    ("key", "1/7", KEY | {"digest": "AB" * 32}),
    ("key", "1/7", KEY | {"expires_at": 10**30}),
    ("key-use", "1/7", USE | {"at": 10**18}),
]


@pytest.mark.parametrize(("kind", "place", "contents"), STRANGE)
def test_a_record_that_no_gateway_writes_is_refused(kind: str, place: str, contents: dict[str, Any]) -> None:
    with pytest.raises(ControlRecordError, match=kind):
        decode_record(f"{kind}/{place}".encode(), orjson.dumps(contents) if _fits(contents) else _large(contents))


def test_after_strange_records_every_list_is_answered(offline: OfflineGateway) -> None:
    for kind, place, contents in STRANGE:
        value = orjson.dumps(contents) if _fits(contents) else _large(contents)
        assert offline.control.data.read(f"{kind}/{place}".encode(), value) is None
    for path in ("/apps", "/apps/1/channels", "/webhooks/endpoints/channel/1"):
        assert offline.send("GET", path).status_code == 200
    assert offline.control.data.api_keys() == []


def test_prices_are_passed_over_without_a_word_and_make_no_tenant(
    offline: OfflineGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """They are of no tenant, and the processors' alone."""
    data = offline.control.data
    tenants = set(data._tenants)
    for key, value in (encode_price(Price("org/gpt-x", 5)), (b"price/org/gpt-x/5", None), (b"price/x", b"junk")):
        assert data.read(key, value) is None
    assert set(data._tenants) == tenants
    assert caplog.messages == []


def test_a_record_of_each_form_is_taken_also_with_fields_of_a_later_version() -> None:
    for kind, contents in (("app", APP), ("channel", CHANNEL), ("key", KEY), ("key-use", USE)):
        record = decode_record(f"{kind}/a/b/7".encode(), orjson.dumps(contents | {"later": 1}))
        assert (record.place.tenant_id, record.place.id) == ("a/b", 7)


def _fits(contents: dict[str, Any]) -> bool:
    return all(not isinstance(value, int) or value <= MAX_ID for value in contents.values())


def _large(contents: dict[str, Any]) -> bytes:
    return str(contents).replace("'", '"').replace("False", "false").encode()
