"""Making keys: what is written to the control topic, and the key itself, which is shown once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from axonstream.event_contract import MAX_NAME_BYTES, MAX_TIME_MS
from axonstream.gateway.control.credentials import KeyDigests, KeyScope, new_key
from axonstream.gateway.control.data import MAX_KEYS, ControlData
from axonstream.gateway.control.origins import read_origin
from axonstream.gateway.control.records import ApiKey, ControlRecord, Kind, Place, new_id

MAX_ORIGINS = 20  # of one public token
MAKE_A_KEY = "axonstream keys create --tenant TENANT --name NAME --scope ingest --scope read"


class KeyRefusedError(ValueError):
    """A key cannot be made so; the message says why."""


class NewKey(NamedTuple):
    """`key` is nowhere else; `kept` has its HMAC."""

    key: str
    tenant_id: str
    kept: ApiKey

    @property
    def record(self) -> ControlRecord:
        """What is to be written."""
        return ControlRecord(Place(Kind.KEY, self.tenant_id, self.kept.id), self.kept)


def make_key(
    data: ControlData,
    secret: bytes,
    *,
    tenant_id: str,
    name: str,
    creator: str,
    scopes: Iterable[KeyScope],
    public: bool,
    now_ms: int,
    expires_at: int | None,
    origins: Iterable[str] = (),
) -> NewKey:
    """A new key, not yet written. A public one may publish and nothing else; pages of `origins` may use it.

    Raises KeyRefusedError.
    """
    for what, text in (("tenant", tenant_id), ("name", name), ("creator", creator)):
        if not 0 < len(text.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES or not text.isprintable():
            raise KeyRefusedError(f"the {what} must be 1 to {MAX_NAME_BYTES} bytes of printable text")
    if not tenant_id.isascii():
        raise KeyRefusedError("the tenant must be ASCII: clients send it in a header")
    if expires_at is not None and expires_at <= now_ms:
        raise KeyRefusedError("the key would have expired already")
    if expires_at is not None and expires_at > MAX_TIME_MS:
        raise KeyRefusedError("the key would expire after 2199: leave its end out")
    wanted = frozenset(scopes)
    if not wanted:
        raise KeyRefusedError("a key needs a scope")
    if public and wanted - {KeyScope.INGEST}:
        raise KeyRefusedError("a public token may only publish: its one scope is ingest")
    pages = _read_origins(origins)
    if pages and not public:
        raise KeyRefusedError("origins are for public tokens alone: everybody who opens a page can read its key")
    if len(data.tenant(tenant_id).keys) >= MAX_KEYS:
        raise KeyRefusedError(f"the tenant has {MAX_KEYS} keys already: revoke some that are not used")
    key, number, digests = new_key(public=public), new_id(), KeyDigests(secret)
    kept = ApiKey(
        id=number,
        digest=digests.of(key.encode()).hex(),
        secret_id=digests.secret_id,
        name=name,
        creator=creator,
        scopes=tuple(sorted(wanted)),
        public=public,
        created_at=now_ms,
        expires_at=expires_at,
        origins=pages,
    )
    return NewKey(key, tenant_id, kept)


def _read_origins(origins: Iterable[str]) -> tuple[str, ...]:
    try:
        pages = tuple(sorted({read_origin(origin) for origin in origins}))
    except ValueError as error:
        raise KeyRefusedError(str(error)) from None
    if len(pages) > MAX_ORIGINS:
        raise KeyRefusedError(f"a token names {MAX_ORIGINS} origins or fewer: make another one for the others")
    return pages


def revocation(tenant_id: str, key_id: int) -> list[ControlRecord]:
    """What ends a key and what is known of it."""
    return [ControlRecord(Place(kind, tenant_id, key_id), None) for kind in (Kind.KEY, Kind.KEY_USE)]
