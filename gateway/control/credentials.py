"""What a shown key is worth: its tenant, its scopes, until when; and how keys are made and recognised.

A key is kept as HMAC-SHA256 under the server's secret: who reads the control topic learns no key, and looking one up
takes a microsecond, because keys are random and need no slow hash.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from secrets import token_urlsafe
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.rate_limits import TokenBucket

PUBLIC_PREFIX = "pt_"
_RANDOM_BYTES = 32


class Generation(Enum):
    """Whose wire form the answer has; see the HTTP contract."""

    EARLY = "early"
    RECENT = "recent"


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
    generation: Generation
    channels: Mapping[int, int]
    credential: Credential | None = None


class Credential:
    """One key. `key_id` is 0 for a key of the settings; `expires_at` is ms since 1970; `used` since last looked.

    `origins` are of the web pages that may publish with it, as the header `Origin` names them. `live` becomes false
    when the key is revoked, or its record replaced.
    """

    __slots__ = (
        "bucket",
        "expires_at",
        "identities",
        "key_id",
        "live",
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
        origins: Iterable[str] = (),
        *,
        public: bool = False,
    ) -> None:
        self.key_id = key_id
        self.tenant = tenant_id.encode()
        self.scopes = scopes
        self.expires_at = expires_at
        self.origins = frozenset(origin.encode() for origin in origins)
        self.public = public
        self.used = False
        self.live = True
        self.bucket: TokenBucket | None = None
        self.identities = {generation: Identity(tenant_id, generation, channels, self) for generation in Generation}


def key_digest(secret: bytes, key: bytes) -> bytes:
    """What is kept of a key."""
    return hmac.digest(secret, key, "sha256")


def secret_id(secret: bytes) -> str:
    """Tells a server secret from another, and nothing of it; '' for none."""
    return hmac.digest(secret, b"axonstream server secret", "sha256").hex()[:12] if secret else ""


def new_key(*, public: bool) -> str:
    """A key of 256 random bits: `ak_...`, or `pt_...` for one that may only publish."""
    return f"{PUBLIC_PREFIX if public else 'ak_'}{token_urlsafe(_RANDOM_BYTES)}"
