"""What a shown key is worth: its tenant, its scopes, until when; and how keys are made and recognised.

A key is kept as HMAC-SHA256 under a key derived from the server's secret: the control topic tells nobody a key, and
a look-up takes microseconds, because keys are random and need no slow hash. Keys that the version before HKDF made are
kept under the secret itself and stay valid: `secret_id` tells them apart.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from secrets import token_urlsafe

from axonstream.gateway.control.derived_keys import derived_key
from axonstream.gateway.control.token_bucket import TokenBucket

PUBLIC_PREFIX = "pt_"
_RANDOM_BYTES = 32
_ID_DIGITS = 12


class ApiVersion(Enum):
    """Whose wire form the answer has; see the HTTP contract."""

    V0 = "early"
    V1 = "recent"


class KeyScope(StrEnum):
    """What a key may do; none of them includes another."""

    INGEST = "ingest"  # publish
    READ = "read"  # read events, traces, apps, channels and webhook endpoints
    ADMIN = "admin"  # make, change and delete apps, channels and webhook endpoints


EVERY_SCOPE = frozenset(KeyScope)


@dataclass(frozen=True, slots=True)
class Identity:
    """A sender that has shown a valid key; `channels` are its tenant's, each with its app's id, kept up to date."""

    tenant_id: str
    generation: ApiVersion
    channels: Mapping[int, int]
    credential: Credential


class Credential:
    """One key. `key_id` is 0 for a key of the settings; `expires_at` is ms since 1970; `used` since last looked.

    `name` tells it from other keys in the audit log, and nothing of it. `origins` are of the web pages that may publish
    with it, as the header `Origin` names them. `live` becomes false when the key is revoked, or its record replaced.
    """

    __slots__ = (
        "bucket",
        "expires_at",
        "identities",
        "key_id",
        "live",
        "name",
        "origins",
        "public",
        "scopes",
        "tenant",
        "used",
    )

    def __init__(
        self,
        tenant_id: str,
        channels: Mapping[int, int],
        scopes: frozenset[str] = EVERY_SCOPE,
        key_id: int = 0,
        expires_at: int | None = None,
        name: str = "",
        origins: Iterable[str] = (),
        *,
        public: bool = False,
    ) -> None:
        self.key_id = key_id
        self.name = name or f"key {key_id}"
        self.tenant = tenant_id.encode()
        self.scopes = scopes
        self.expires_at = expires_at
        self.origins = frozenset(origin.encode() for origin in origins)
        self.public = public
        self.used = False
        self.live = True
        self.bucket: TokenBucket | None = None
        self.identities = {generation: Identity(tenant_id, generation, channels, self) for generation in ApiVersion}


class KeyDigests:
    """What is kept of keys under one server secret; nothing of the secret can be told from it."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._derived = derived_key(secret, "digests of API keys")
        self.secret_id = derived_key(secret, "id of the server secret").hex()[:_ID_DIGITS] if secret else ""
        earlier = hmac.digest(secret, b"axonstream server secret", "sha256").hex()[:_ID_DIGITS] if secret else ""
        self.secret_ids = frozenset({self.secret_id, earlier})

    def of(self, key: bytes) -> bytes:
        """The digest that a key made now is kept as."""
        return hmac.digest(self._derived, key, "sha256")

    def earlier(self, key: bytes) -> bytes:
        """The digest that the version before HKDF kept."""
        return hmac.digest(self._secret, key, "sha256")


def static_key_name(secret: bytes, key: bytes) -> str:
    """The name of a key of the settings: the same at every gateway. Without a secret it is a plain hash of 32 bits."""
    return f"static key {hmac.digest(derived_key(secret, 'names of static keys'), key, 'sha256').hex()[:8]}"


def new_key(*, public: bool) -> str:
    """A key of 256 random bits: `ak_...`, or `pt_...` for one that may only publish."""
    return f"{PUBLIC_PREFIX if public else 'ak_'}{token_urlsafe(_RANDOM_BYTES)}"
