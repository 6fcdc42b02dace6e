"""Who is asking: the key's header tells the generation of the client, the key its tenant and what it may do."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_bytes

from axonstream.gateway.access.rate_limits import RateLimits
from axonstream.gateway.control.credentials import (
    ApiVersion,
    Credential,
    Identity,
    KeyDigests,
    KeyScope,
    static_key_name,
)
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.http.errors import RefusedError, UnavailableError
from axonstream.gateway.http.header_names import EARLY_KEY, ORIGIN, PUBLIC_TOKEN, RECENT_KEY, TENANT, Headers

MOST_SHOWN = 10_000  # valid keys whose HMAC need not be made again

_BEARER = b"bearer "
_ASK_FOR_KEY = "Send your key in the header X-API-Key, and its tenant in x-tenant-id."


class Authentication:
    """Recognises the keys of the settings, which may do everything, and those of the control data.

    A key is recognised by its HMAC under the server's secret. One that was valid a moment ago is found with one dict
    lookup, of which the time tells nothing either: Python compares two keys only when their seeded 64-bit hashes agree.
    Without a secret there are the keys of the settings alone. `clock` gives ms since 1970.
    """

    def __init__(
        self,
        tenants_by_key: dict[str, str],
        control: ControlData,
        secret: bytes,
        clock: Callable[[], int],
        limits: RateLimits,
    ) -> None:
        self._limits = limits if limits.on else None
        self._digests = KeyDigests(secret or token_bytes())
        self._control = control
        self._shown: dict[bytes, Credential] = {}
        self._clock = clock
        for key, tenant_id in tenants_by_key.items():
            name = static_key_name(secret, key.encode())
            credential = Credential(tenant_id, control.tenant(tenant_id).channel_apps, name=name)
            control.credentials[self._digests.of(key.encode())] = credential

    def check_again(self, headers: Headers, scope: KeyScope) -> Identity:
        """As `identify`, for a request that goes on and is not a new one: it does not count for the rate limits."""
        return self.identify(headers, scope, new=False)

    def identify(self, headers: Headers, scope: KeyScope, *, new: bool = True) -> Identity:
        """The identity that the headers of a request show, by their names in lower case.

        Raises RefusedError: 400 for two key headers at once and for a missing tenant, 401 for a missing, unknown,
        revoked or expired key, 403 for a tenant that is not the key's, for a key that may not do this and for a
        web page that may not use it; RateLimitedError; UnavailableError while it cannot be said whether a key is known.
        """
        early, recent, public = headers.get(EARLY_KEY), headers.get(RECENT_KEY), headers.get(PUBLIC_TOKEN)
        if recent is None and public is None:
            key, generation = early, ApiVersion.V0
        elif early is None and (recent is None or public is None):
            key, generation = public if recent is None else recent, ApiVersion.V1
        else:
            raise RefusedError(400, _two_headers(early, recent), "Send the key in one header, your client's own.")
        if not key:
            raise RefusedError(401, "no API key was sent", _ASK_FOR_KEY)
        credential = self._shown.get(key)
        if credential is None or not credential.live:
            credential = self._recognise(key)
        self._check(credential, headers.get(TENANT), generation, scope)
        if (origin := headers.get(ORIGIN)) is not None and origin not in credential.origins:
            _check_page(origin, headers, credential)
        if new and self._limits is not None:
            self._limits.take(credential)
        credential.used = True
        return credential.identities[generation]

    def page_of(self, headers: Headers) -> bytes | None:
        """The origin of the web page that sent this, where the token that it shows names it."""
        origin = headers.get(ORIGIN)
        key = headers.get(PUBLIC_TOKEN) or headers.get(RECENT_KEY) or headers.get(EARLY_KEY)
        if origin is None or key is None:
            return None
        credential = self._find(key)
        return origin if credential is not None and origin in credential.origins else None

    def charge(self, identity: Identity, number: int) -> None:
        """Count so many requests more: those of a bulk request."""
        if self._limits is not None:
            self._limits.take_more(identity.credential, number)

    def _check(self, credential: Credential, tenant: bytes | None, generation: ApiVersion, scope: KeyScope) -> None:
        if credential.expires_at is not None and credential.expires_at <= self._clock():
            raise RefusedError(401, "the API key has expired", "Make a new one: axonstream keys create.")
        if not tenant:
            if generation is ApiVersion.V0:
                raise RefusedError(400, "the header x-tenant-id is missing", "Send the tenant that the key belongs to.")
        elif tenant != credential.tenant:
            raise RefusedError(
                403, "the API key does not belong to this tenant", "Send the key's own tenant in x-tenant-id."
            )
        if scope not in credential.scopes:
            raise RefusedError(
                403,
                f"the API key may not do this: it lacks the scope {scope}",
                f"Use a key that has it: axonstream keys create --scope {scope}.",
            )

    def _find(self, key: bytes) -> Credential | None:
        known = self._control.credentials
        return known.get(self._digests.of(key)) or known.get(self._digests.earlier(key))

    def _recognise(self, key: bytes) -> Credential:
        credential = self._find(key)
        if credential is not None and (self._control.loaded or not credential.key_id):  # its revocation may come yet
            if len(self._shown) >= MOST_SHOWN:
                self._shown.clear()
            self._shown[key] = credential
            return credential
        self._shown.pop(key, None)
        if not self._control.loaded:
            raise UnavailableError("the keys have not been read from Kafka yet", "Send the request again.")
        raise RefusedError(401, "the API key is not known here", "Check the key; it may be revoked.")


def with_bearer(headers: Headers) -> Headers:
    """The headers, with the key of `Authorization: Bearer` as that of a v1 client where none is sent otherwise."""
    bearer = headers.get(b"authorization", b"")
    if bearer[: len(_BEARER)].lower() != _BEARER or {EARLY_KEY, RECENT_KEY, PUBLIC_TOKEN} & headers.keys():
        return headers
    return {**headers, RECENT_KEY: bearer[len(_BEARER) :].strip()}


def _check_page(origin: bytes, headers: Headers, credential: Credential) -> None:
    """A browser says which page sends a request. Raises RefusedError 403 for a page that may not use the key.

    Other keys than public tokens are none for pages; what the gateway's own address serves is no foreign page.
    """
    _, _, authority = origin.partition(b"://")
    if not credential.public and authority and authority == headers.get(b"host"):
        return
    raise RefusedError(
        403,
        "a page of this origin may not use this key",
        "Pages publish with a public token that names their origin: axonstream keys create --public --origin ORIGIN.",
    )


def _two_headers(early: bytes | None, recent: bytes | None) -> str:
    first = "x-axonpush-api-key" if early is None else "X-API-Key"
    second = "X-Public-Token" if early is None or recent is None else "x-axonpush-api-key"
    return f"both {first} and {second} are set"
