"""Control data in memory: keys, apps, channels and webhook endpoints, as the control topic has them.

The last record of a place wins, whoever wrote it: two gateways that change the same app at once end with one of both
changes, the same on both. Memory is bounded by the limits below, which are checked before a write: gateways that write
at once may pass one by what is under way.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Set as AbstractSet

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.contract.deletion import Deletion
from axonstream.contract.price_records import is_price
from axonstream.gateway.control.audit_entry import is_entry
from axonstream.gateway.control.audit_trail import AuditTrail
from axonstream.gateway.control.credentials import Credential, KeyDigests
from axonstream.gateway.control.records import (
    ApiKey,
    App,
    Channel,
    ControlRecord,
    ControlRecordError,
    KeyUse,
    Kind,
    Place,
    WebhookEndpoint,
    decode_record,
)

log = logging.getLogger(__name__)

# Of one tenant.
MAX_APPS = 1_000
MAX_CHANNELS = 10_000
MAX_PUBLISHED_CHANNELS = 10_000
MAX_WEBHOOKS = 1_000
MAX_KEYS = 1_000
MAX_DELETIONS = 20_000

FIRST_APP = 1
_FIRST_APPS = {FIRST_APP: App(FIRST_APP, "default", 0, 0)}
_FIRST_CHANNELS = {number: Channel(number, FIRST_APP, f"channel {number}", 0, 0) for number in (1, 2)}
BUILT_IN = {Kind.APP: frozenset(_FIRST_APPS), Kind.CHANNEL: frozenset(_FIRST_CHANNELS)}


class Tenant:
    """What one tenant has; `channel_apps`, channel id -> app id, is kept up to date in place: others may hold it.

    Who makes channels by publishing holds `making_channels`.
    """

    def __init__(self, tenant_id: str) -> None:
        self.id = tenant_id
        self.apps: dict[int, App] = dict(_FIRST_APPS)
        self.made_channels: dict[int, Channel] = dict(_FIRST_CHANNELS)
        self.published_channels: dict[int, Channel] = {}
        self.channel_apps: dict[int, int] = {number: channel.app_id for number, channel in _FIRST_CHANNELS.items()}
        self.webhooks: dict[int, WebhookEndpoint] = {}
        self.keys: dict[int, ApiKey] = {}
        self.key_uses: dict[int, int] = {}
        self.deletions: dict[int, Deletion] = {}
        self.making_channels = asyncio.Lock()

    def channel(self, channel_id: int) -> Channel | None:
        return self.made_channels.get(channel_id) or self.published_channels.get(channel_id)

    def channels(self, app_id: int | None = None) -> list[Channel]:
        """Of one app or of all, the oldest first."""
        every = (self.published_channels | self.made_channels).values()
        wanted = (channel for channel in every if app_id is None or channel.app_id == app_id)
        return sorted(wanted, key=lambda channel: (channel.created_at, channel.id))


class ControlData:
    """The state that a row of records leads to.

    `loaded` says whether the topic has been read to where it ended when this process began. `credentials` has the keys
    of the settings, too, by their digest.
    """

    def __init__(self, secret: bytes = b"") -> None:
        self.loaded = False
        self.credentials: dict[bytes, Credential] = {}
        self.audit = AuditTrail()
        self.deleted = DeletedTraces()
        self._tenants: dict[str, Tenant] = {}
        self._secret_ids = KeyDigests(secret).secret_ids
        self._by_origin: defaultdict[bytes, dict[int, Credential]] = defaultdict(dict)  # then by key id
        self._warned = False

    def tenant(self, tenant_id: str) -> Tenant:
        """The tenant; it comes into being by having a key or a record."""
        found = self._tenants.get(tenant_id)
        if found is None:
            found = self._tenants[tenant_id] = Tenant(tenant_id)
        return found

    def app_of(self, tenant_id: str, channel_id: int) -> int | None:
        """The app of a channel; None for a channel that the tenant does not have, or that is not known here yet."""
        tenant = self._tenants.get(tenant_id)
        return None if tenant is None else tenant.channel_apps.get(channel_id)

    def api_keys(self) -> list[tuple[str, ApiKey, int | None]]:
        """Tenant, key and last use (ms) of every key of the topic, the oldest first."""
        rows = [(t.id, key, t.key_uses.get(key.id)) for t in self._tenants.values() for key in t.keys.values()]
        return sorted(rows, key=lambda row: (row[1].created_at, row[1].id))

    def is_named(self, origin: str, now_ms: int) -> bool:
        """Whether a valid public token of any tenant names this origin of web pages."""
        named = self._by_origin.get(origin.encode("latin-1"), {})
        return any(one.expires_at is None or one.expires_at > now_ms for one in named.values())

    def read(self, key: bytes | None, value: bytes | None) -> Place | None:
        """Take a record of the topic; what is none of ours is logged and left out (None), an entry of the audit log is
        counted, and is in no place (None). Prices are the processors'.
        """
        if key is not None and is_entry(key):
            self.audit.read(key, gone=value is None)
            return None
        if is_price(key):
            return None
        try:
            record = decode_record(key, value)
        except ControlRecordError as error:
            log.warning("a record of the control topic is left out: %s", error)
            return None
        self.apply(record)
        return record.place

    def apply(self, record: ControlRecord) -> None:
        """The last record of a place wins."""
        (kind, tenant_id, number), contents = record
        tenant = self.tenant(tenant_id)
        match contents:
            case None:
                self._delete(tenant, kind, number)
            case App():
                tenant.apps[number] = contents
            case Channel():
                own = tenant.made_channels if kind is Kind.CHANNEL else tenant.published_channels
                own[number] = contents
                tenant.channel_apps[number] = (tenant.channel(number) or contents).app_id
            case WebhookEndpoint():
                tenant.webhooks[number] = contents
            case ApiKey():
                self._drop_credential(tenant.keys.get(number))
                tenant.keys[number] = contents
                self._add_credential(tenant, contents)
            case KeyUse():
                if number in tenant.keys:  # a use that came after the key was revoked is not kept
                    tenant.key_uses[number] = contents.at
            case Deletion():
                tenant.deletions[number] = contents
                self.deleted.put(tenant_id, contents)

    def keep_only(self, places: AbstractSet[Place]) -> None:
        """Delete what has no place among these: after the topic was read anew from its start."""
        for tenant in self._tenants.values():
            for kind, own in _parts(tenant).items():
                for number in [number for number in own if (kind, tenant.id, number) not in places]:
                    self._delete(tenant, kind, number)

    def _delete(self, tenant: Tenant, kind: Kind, number: int) -> None:
        gone = _parts(tenant)[kind].pop(number, None)
        if kind is Kind.APP and number in _FIRST_APPS:
            tenant.apps[number] = _FIRST_APPS[number]
        elif kind is Kind.CHANNEL and number in _FIRST_CHANNELS:
            tenant.made_channels[number] = _FIRST_CHANNELS[number]
        if kind in (Kind.CHANNEL, Kind.PUBLISHED_CHANNEL):
            if (left := tenant.channel(number)) is None:
                tenant.channel_apps.pop(number, None)
            else:
                tenant.channel_apps[number] = left.app_id
        if isinstance(gone, Deletion):
            self.deleted.drop(tenant.id, number)
        if isinstance(gone, ApiKey):
            tenant.key_uses.pop(number, None)
            self._drop_credential(gone)

    def _drop_credential(self, key: ApiKey | None) -> None:
        gone = None if key is None else self.credentials.pop(bytes.fromhex(key.digest), None)
        if gone is not None:
            gone.live = False
            for origin in gone.origins:
                self._by_origin[origin].pop(gone.key_id, None)
                if not self._by_origin[origin]:
                    del self._by_origin[origin]

    def _add_credential(self, tenant: Tenant, key: ApiKey) -> None:
        if key.secret_id not in self._secret_ids:
            if not self._warned:
                self._warned = True
                log.warning("a key was made with another AXONSTREAM_SERVER_SECRET and is not accepted")
            return
        digest = bytes.fromhex(key.digest)
        scopes = frozenset(key.scopes)
        credential = Credential(
            tenant.id, tenant.channel_apps, scopes, key.id, key.expires_at, origins=key.origins, public=key.public
        )
        self.credentials[digest] = credential
        for origin in credential.origins:
            self._by_origin[origin][key.id] = credential


def _parts(tenant: Tenant) -> dict[Kind, dict[int, object]]:
    parts: dict[Kind, object] = {
        Kind.APP: tenant.apps,
        Kind.CHANNEL: tenant.made_channels,
        Kind.PUBLISHED_CHANNEL: tenant.published_channels,
        Kind.WEBHOOK: tenant.webhooks,
        Kind.KEY: tenant.keys,
        Kind.KEY_USE: tenant.key_uses,
        Kind.DELETION: tenant.deletions,
    }
    return parts  # pyright: ignore[reportReturnType]  the kind says what is in it
