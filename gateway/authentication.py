"""Who is asking: the key's header tells the generation of the client, the key its tenant and what it may do."""

from __future__ import annotations

from collections.abc import Callable
from hmac import digest
from secrets import token_bytes

from starlette.requests import Request

from gateway.control_data import ControlData
from gateway.credentials import Credential, Generation, Identity, KeyScope
from gateway.errors import RefusedError, UnavailableError
from gateway.rate_limits import RateLimits

EARLY_KEY = b"x-api-key"
RECENT_KEY = b"x-axonpush-api-key"
PUBLIC_TOKEN = b"x-public-token"
TENANT = b"x-tenant-id"

_ASK_FOR_KEY = "Send your key in the header X-API-Key, and its tenant in x-tenant-id."


class Authentication:
    """Recognises the keys of the settings, which may do everything, and those of the control data.

    A key is looked up by its HMAC under the server's secret, so that the time taken tells nothing about any key.
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
        self._secret = secret or token_bytes()
        self._control = control
        self._credentials = control.credentials
        self._clock = clock
        for key, tenant_id in tenants_by_key.items():
            credential = Credential(tenant_id, control.tenant(tenant_id).channel_ids)
            self._credentials[digest(self._secret, key.encode(), "sha256")] = credential

    def identify(self, request: Request, scope: KeyScope) -> Identity:
        """The sender's identity; raises as `identify_by` does."""
        return self.identify_by(dict(request.scope["headers"]), scope)

    def identify_by(self, headers: dict[bytes, bytes], scope: KeyScope) -> Identity:
        """The identity that the headers of a request show, by their names in lower case.

        Raises RefusedError: 400 for two key headers at once and for a missing tenant, 401 for a missing, unknown,
        revoked or expired key, 403 for a tenant that is not the key's and for a key that may not do this;
        RateLimitedError; UnavailableError while it cannot be said whether a key is known.
        """
        credential, generation = self._shown(headers, scope)
        if self._limits is not None:
            self._limits.take(credential)
        credential.used = True
        return credential.identities[generation]

    def check_again(self, request: Request, scope: KeyScope) -> Identity:
        """As `identify`, for a request that goes on and is not a new one: no token is taken."""
        credential, generation = self._shown(dict(request.scope["headers"]), scope)
        credential.used = True
        return credential.identities[generation]

    def charge(self, identity: Identity, number: int) -> None:
        """Count so many requests more: those of a bulk request."""
        if self._limits is not None and identity.credential is not None:
            self._limits.take_more(identity.credential, number)

    def _shown(self, headers: dict[bytes, bytes], scope: KeyScope) -> tuple[Credential, Generation]:
        early, recent, public = headers.get(EARLY_KEY), headers.get(RECENT_KEY), headers.get(PUBLIC_TOKEN)
        if recent is None and public is None:
            return self._check(early, headers.get(TENANT), Generation.EARLY, scope), Generation.EARLY
        if early is not None or (recent is not None and public is not None):
            raise RefusedError(400, _two_headers(early, recent), "Send the key in one header, your client's own.")
        shown = public if recent is None else recent
        return self._check(shown, headers.get(TENANT), Generation.RECENT, scope), Generation.RECENT

    def _check(self, key: bytes | None, tenant: bytes | None, generation: Generation, scope: KeyScope) -> Credential:
        if not key:
            raise RefusedError(401, "no API key was sent", _ASK_FOR_KEY)
        credential = self._credentials.get(digest(self._secret, key, "sha256"))
        if credential is None:
            raise self._unknown()
        if credential.expires_at is not None and credential.expires_at <= self._clock():
            raise RefusedError(401, "the API key has expired", "Make a new one: axonstream keys create.")
        if not tenant:
            if generation is Generation.EARLY:
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
        return credential

    def _unknown(self) -> Exception:
        if not self._control.loaded:
            return UnavailableError("the keys have not been read from Kafka yet", "Send the request again.")
        return RefusedError(
            401, "the API key is not known here", "Check the key; it may be revoked, or of another server."
        )


def _two_headers(early: bytes | None, recent: bytes | None) -> str:
    first = "x-axonpush-api-key" if early is None else "X-API-Key"
    second = "X-Public-Token" if early is None or recent is None else "x-axonpush-api-key"
    return f"both {first} and {second} are set"
