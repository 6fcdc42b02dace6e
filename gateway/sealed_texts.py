"""Texts that a tenant carries for the gateway and cannot read: sealed with AES-SIV (RFC 5297) under a derived key.

Every gateway of one server secret opens what another has sealed. A text that was sealed for one tenant is nothing to
another. A number that is never used again stands in each text, so equal bytes give other texts every time: a reader
cannot see whether what the gateway keeps in them has changed. A text's length tells the length of what is in it.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from itertools import count
from secrets import randbits

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from axonstream.gateway.control.derived_keys import derived_key
from axonstream.settings.settings import Settings

_KEY_BYTES = 64
_MOST_CHARS = 128 << 10
_NUMBER_BYTES = 8


class NotSealedHereError(ValueError):
    """The text was not sealed by this server for this tenant, or was changed since."""


class SealedTexts:
    """Seals and opens. `key` has 64 bytes; see `sealing_key`."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)
        self._numbers = count(randbits(63))  # so that no other gateway begins near it

    def text(self, tenant_id: str, content: bytes) -> bytes:
        """The text, in base64url without padding: 2 us."""
        number = next(self._numbers).to_bytes(_NUMBER_BYTES)
        return urlsafe_b64encode(self._cipher.encrypt(number + content, [tenant_id.encode()])).rstrip(b"=")

    def content(self, tenant_id: str, text: str) -> bytes:
        """What was sealed. Raises NotSealedHereError."""
        try:
            if len(text) > _MOST_CHARS:
                raise NotSealedHereError
            sealed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            return self._cipher.decrypt(sealed, [tenant_id.encode()])[_NUMBER_BYTES:]
        except (Base64Error, UnicodeEncodeError, InvalidTag):
            raise NotSealedHereError from None


def sealing_key(settings: Settings, purpose: str) -> bytes:
    """From the server's secret; without one there are only the static keys, and no tenant knows those of all others."""
    secret = settings.server_secret.get_secret_value()
    if not secret:
        secret = ",".join(f"{key}={tenant}" for key, tenant in sorted(settings.tenants_by_key().items()))
    return derived_key(secret.encode(), purpose, _KEY_BYTES)
