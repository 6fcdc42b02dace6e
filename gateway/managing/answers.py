"""Apps, channels and webhook endpoints on the wire, with the fields of both client generations side by side."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from axonstream.gateway.control.credentials import Identity, KeyScope
from axonstream.gateway.control.records import App, Channel, WebhookEndpoint
from axonstream.gateway.control.shown_url import shown_url
from axonstream.gateway.routing.answers import WireId
from axonstream.gateway.routing.wire_values import iso_time, opaque_id, wire_id, with_id_texts


class AppAnswer(TypedDict):
    """A group of channels."""

    id: WireId
    appId: WireId
    orgId: WireId | None
    name: str
    createdAt: str
    updatedAt: str
    ok: bool
    idText: NotRequired[str]
    appIdText: NotRequired[str]
    orgIdText: NotRequired[str]


class ChannelAnswer(TypedDict):
    """What events are published to."""

    id: WireId
    channelId: WireId
    orgId: WireId | None
    appId: WireId
    name: str
    createdAt: str
    updatedAt: str
    ok: bool
    idText: NotRequired[str]
    channelIdText: NotRequired[str]
    orgIdText: NotRequired[str]
    appIdText: NotRequired[str]


class EndpointAnswer(TypedDict):
    """A webhook endpoint; no `eventTypes` are all. One that was deactivated is listed with `active` false.

    Keys without the scope admin see scheme, host and port of `url`, and /... for what follows.
    """

    id: WireId
    endpointId: WireId
    url: str
    channelId: WireId
    orgId: WireId | None
    active: bool
    eventTypes: list[str]
    hasSecret: bool
    description: str
    createdAt: str
    updatedAt: str
    idText: NotRequired[str]
    endpointIdText: NotRequired[str]
    channelIdText: NotRequired[str]
    orgIdText: NotRequired[str]


class NewEndpointAnswer(EndpointAnswer):
    """With the secret that deliveries will be signed with, by both its names: it is told here and nowhere else."""

    secret: str
    rawSecret: str


class DeliveryAnswer(TypedDict):
    """One attempt to send an event to an endpoint. There are none yet: this server does not send."""

    id: WireId
    deliveryId: WireId
    endpointId: WireId
    eventId: WireId
    status: str
    attempts: int
    createdAt: str


class AppsAnswer(TypedDict):
    """The list of apps in the v1 form; v0 clients have the bare array."""

    apps: list[AppAnswer]


class ChannelsAnswer(TypedDict):
    """The list of channels in the v1 form; v0 clients have the bare array."""

    channels: list[ChannelAnswer]


class EndpointsAnswer(TypedDict):
    """The list of endpoints in the v1 form; v0 clients have the bare array."""

    data: list[EndpointAnswer]


class DeliveriesAnswer(TypedDict):
    """The list of deliveries in the v1 form; v0 clients have the bare array."""

    data: list[DeliveryAnswer]


class DoneAnswer(TypedDict):
    """What a DELETE answers."""

    ok: bool
    message: str


def app_answer(app: App, identity: Identity) -> AppAnswer:
    number = wire_id(app.id, identity.generation)
    answer: AppAnswer = {
        "id": number,
        "appId": number,
        "orgId": opaque_id(identity.tenant_id, identity.generation),
        "name": app.name,
        "createdAt": iso_time(app.created_at),
        "updatedAt": iso_time(app.updated_at),
        "ok": True,
    }
    return with_id_texts(answer, "id", "appId", "orgId")


def channel_answer(channel: Channel, identity: Identity) -> ChannelAnswer:
    number = wire_id(channel.id, identity.generation)
    answer: ChannelAnswer = {
        "id": number,
        "channelId": number,
        "orgId": opaque_id(identity.tenant_id, identity.generation),
        "appId": wire_id(channel.app_id, identity.generation),
        "name": channel.name,
        "createdAt": iso_time(channel.created_at),
        "updatedAt": iso_time(channel.updated_at),
        "ok": True,
    }
    return with_id_texts(answer, "id", "channelId", "orgId", "appId")


def endpoint_answer(endpoint: WebhookEndpoint, identity: Identity) -> EndpointAnswer:
    """With the whole URL for a key of scope admin alone: who knows a receiver's URL can often send to it."""
    whole = KeyScope.ADMIN in identity.credential.scopes
    number = wire_id(endpoint.id, identity.generation)
    answer: EndpointAnswer = {
        "id": number,
        "endpointId": number,
        "url": endpoint.url if whole else shown_url(endpoint.url),
        "channelId": wire_id(endpoint.channel_id, identity.generation),
        "orgId": opaque_id(identity.tenant_id, identity.generation),
        "active": endpoint.active,
        "eventTypes": list(endpoint.event_types),
        "hasSecret": bool(endpoint.sealed_secret),
        "description": endpoint.description,
        "createdAt": iso_time(endpoint.created_at),
        "updatedAt": iso_time(endpoint.updated_at),
    }
    return with_id_texts(answer, "id", "endpointId", "channelId", "orgId")
