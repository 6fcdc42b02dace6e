"""S21: keys that are made of the server's secret come from HKDF, and what the version before kept is still good."""

from __future__ import annotations

import asyncio
import hmac
from base64 import urlsafe_b64encode
from dataclasses import replace

import pytest
from cryptography.fernet import Fernet, InvalidToken

from axonstream.gateway.control.api_keys import NewKey, make_key
from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.derived_keys import derived_key
from axonstream.gateway.control.records import ControlRecord
from axonstream.gateway.control.webhook_secrets import WebhookSecrets
from kit.audit_entries import an_entry
from kit.offline_gateway import SERVER_SECRET, OfflineGateway

SECRET = SERVER_SECRET.encode()


def earlier_fernet() -> Fernet:
    """As the version before HKDF made its key: one HMAC of the secret."""
    return Fernet(urlsafe_b64encode(hmac.digest(SECRET, b"axonstream webhook secrets", "sha256")))


def made(data: ControlData) -> NewKey:
    return make_key(
        data, SECRET, tenant_id="3", name="n", creator="c", scopes=[KeyScope.READ], public=False, now_ms=1,
        expires_at=None,
    )  # fmt: skip


def opens(offline: OfflineGateway, key: str) -> int:
    return offline.send("GET", "/apps", headers={"x-axonpush-api-key": key}).status_code


def test_a_derived_key_is_hkdf_as_rfc_5869_has_it() -> None:
    """S21. The oracle is the RFC's extract and expand, written out."""
    extracted = hmac.digest(bytes(32), SECRET, "sha256")
    first = hmac.digest(extracted, b"axonstream a purpose\x01", "sha256")
    second = hmac.digest(extracted, first + b"axonstream a purpose\x02", "sha256")
    assert derived_key(SECRET, "a purpose", 40) == (first + second)[:40]


def test_webhook_secrets_are_sealed_under_a_derived_key_and_those_of_the_version_before_open() -> None:
    """S21: one HMAC of the server's secret sealed them."""
    secrets = WebhookSecrets(SECRET)
    sealed = secrets.seal("a secret")
    assert secrets.open(sealed) == "a secret"
    with pytest.raises(InvalidToken):
        earlier_fernet().decrypt(sealed)
    assert secrets.open(earlier_fernet().encrypt(b"an older secret").decode()) == "an older secret"
    assert WebhookSecrets(b"another server secret").open(sealed) is None


def test_keys_are_kept_under_a_derived_key_and_those_of_the_version_before_stay_valid(offline: OfflineGateway) -> None:
    """S21: they were kept under the server's secret itself."""
    key = made(offline.control.data)
    plain = hmac.digest(SECRET, key.key.encode(), "sha256").hex()
    assert key.kept.digest != plain
    asyncio.run(offline.control.write([key.record], an_entry()))
    assert opens(offline, key.key) == 200
    older = made(offline.control.data)
    kept = replace(
        older.kept,
        digest=hmac.digest(SECRET, older.key.encode(), "sha256").hex(),
        secret_id=hmac.digest(SECRET, b"axonstream server secret", "sha256").hex()[:12],
    )
    asyncio.run(offline.control.write([ControlRecord(older.record.place, kept)], an_entry()))
    assert opens(offline, older.key) == 200


def test_a_key_of_another_server_secret_opens_nothing(offline: OfflineGateway) -> None:
    other = OfflineGateway()
    key = made(offline.control.data)
    for secret_id in ("", "0" * 12):
        asyncio.run(
            other.control.write([ControlRecord(key.record.place, replace(key.kept, secret_id=secret_id))], an_entry())
        )
        assert opens(other, key.key) == 401
