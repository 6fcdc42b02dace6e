"""Who is asking: the key's header tells the generation of the client, the key its tenant."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from starlette.requests import Request

from gateway.errors import RefusedError

EARLY_KEY = b"x-api-key"
RECENT_KEY = b"x-axonpush-api-key"
TENANT = b"x-tenant-id"

_ASK_FOR_KEY = "Send your key in the header X-API-Key, and its tenant in x-tenant-id."


class Generation(Enum):
    """Whose wire form the answer has; see the HTTP contract."""

    EARLY = "early"
    RECENT = "recent"


@dataclass(frozen=True, slots=True)
class Identity:
    """A sender that has shown a valid key."""

    tenant_id: str
    generation: Generation


class Authentication:
    """The keys of the settings, looked up by digest so that the time taken tells nothing about a key."""

    def __init__(self, tenants_by_key: dict[str, str]) -> None:
        self._keys = {
            sha256(key.encode()).digest(): (key.encode(), tenant.encode(), _identities_of(tenant))
            for key, tenant in tenants_by_key.items()
        }

    def identify(self, request: Request) -> Identity:
        """The sender's identity; raises as `identify_by` does."""
        return self.identify_by(dict(request.scope["headers"]))

    def identify_by(self, headers: dict[bytes, bytes]) -> Identity:
        """The identity that the headers of a request show, by their names in lower case.

        Raises RefusedError: 400 for both key headers at once and for a missing tenant, 401 for a missing or unknown
        key, 403 for a tenant that is not the key's.
        """
        early, recent, tenant = headers.get(EARLY_KEY), headers.get(RECENT_KEY), headers.get(TENANT)
        if early is not None and recent is not None:
            raise RefusedError(
                400, "both X-API-Key and x-axonpush-api-key are set", "Send the key in one header, your client's own."
            )
        return self._check(
            early if recent is None else recent, tenant, Generation.EARLY if recent is None else Generation.RECENT
        )

    def _check(self, key: bytes | None, tenant: bytes | None, generation: Generation) -> Identity:
        if not key:
            raise RefusedError(401, "no API key was sent", _ASK_FOR_KEY)
        known, keys_tenant, identities = self._keys.get(sha256(key).digest(), _NOBODY)
        if not hmac.compare_digest(known, key):
            raise RefusedError(401, "the API key is not known here", "Check the key; it may be of another server.")
        if not tenant:
            if generation is Generation.EARLY:
                raise RefusedError(400, "the header x-tenant-id is missing", "Send the tenant that the key belongs to.")
        elif tenant != keys_tenant:
            raise RefusedError(
                403, "the API key does not belong to this tenant", "Send the key's own tenant in x-tenant-id."
            )
        return identities[generation]


def _identities_of(tenant_id: str) -> dict[Generation, Identity]:
    return {generation: Identity(tenant_id, generation) for generation in Generation}


_NOBODY: tuple[bytes, bytes, dict[Generation, Identity]] = (b"", b"", {})
