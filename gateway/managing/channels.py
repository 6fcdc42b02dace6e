"""POST /channel, GET|PUT|DELETE /channel/{id}, and both below an app: /apps/{app}/channels[/{id}]."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from axonstream.gateway.control.audit_entry import MOST_SHOWN, Action, shown
from axonstream.gateway.control.data import BUILT_IN, MAX_CHANNELS, Tenant
from axonstream.gateway.control.records import Channel, ControlRecord, Kind, Place, new_id
from axonstream.gateway.http.errors import RefusedError
from axonstream.gateway.managing.answers import ChannelAnswer, channel_answer
from axonstream.gateway.managing.inputs import AppChannelInput, ChannelChange, ChannelInput
from axonstream.gateway.managing.routes import (
    Managing,
    built_in,
    done,
    json_answer,
    limit_reached,
    listed,
    records_gone,
)
from axonstream.gateway.routing.request import Request

_ROWS_OF_A_TURN = 200


def channel_places(tenant: Tenant, channel_id: int) -> list[Place]:
    """What goes with a channel: itself, made on purpose or by publishing, and its webhook endpoints."""
    webhooks = [w.id for w in tenant.webhooks.values() if w.channel_id == channel_id]
    kinds = [
        kind
        for kind, own in ((Kind.CHANNEL, tenant.made_channels), (Kind.PUBLISHED_CHANNEL, tenant.published_channels))
        if channel_id in own
    ]
    return [Place(Kind.WEBHOOK, tenant.id, w) for w in webhooks] + [Place(k, tenant.id, channel_id) for k in kinds]


def gone_with_it(places: Sequence[Place]) -> dict[str, Any]:
    """What the audit log says of the channels and webhook endpoints that are deleted with what they belong to."""
    found: dict[str, Any] = {}
    for name, kinds in (("channels", (Kind.CHANNEL, Kind.PUBLISHED_CHANNEL)), ("webhooks", (Kind.WEBHOOK,))):
        ids = sorted({place.id for place in places if place.kind in kinds})
        found |= {name: ids[:MOST_SHOWN], f"{name}_deleted": len(ids)} if ids else {}
    return found


class Channels:
    """The handlers. Channels 1 and 2 of app 1 are there from the start."""

    def __init__(self, managing: Managing) -> None:
        self._managing = managing

    async def create(self, request: Request) -> Response:
        """POST /channel: 201, 400 for an app that is none, 409 at the limit."""
        tenant = self._managing.tenant(request)
        given = await self._managing.input(request, ChannelInput)
        app = await self._managing.referred(given.app_id, "app", tenant.apps.get)
        return await self._create(request, tenant, app.id, given.name)

    async def create_in_app(self, request: Request) -> Response:
        """POST /apps/{app}/channels: 201, and 409 at the limit."""
        tenant = self._managing.tenant(request)
        app = await self._managing.named(request, "app", tenant.apps.get)
        given = await self._managing.input(request, AppChannelInput)
        return await self._create(request, tenant, app.id, given.name)

    async def of_app(self, request: Request) -> Response:
        """GET /apps/{app}/channels, the oldest first."""
        identity, tenant = request.identity, self._managing.tenant(request)
        app = await self._managing.named(request, "app", tenant.apps.get)
        rows: list[ChannelAnswer] = []
        for at, channel in enumerate(tenant.channels(app.id)):
            if at % _ROWS_OF_A_TURN == 0:
                await asyncio.sleep(0)  # 20,000 rows take 0.2 s, which nobody else should wait for
            rows.append(channel_answer(channel, identity))
        return listed(rows, "channels", identity)

    async def one(self, request: Request) -> Response:
        """GET /channel/{id}, and the same below an app, which then has to be the channel's."""
        channel = await self._named(request, self._managing.tenant(request))
        return json_answer(channel_answer(channel, request.identity))

    async def change(self, request: Request) -> Response:
        """PUT, as `one`."""
        tenant = self._managing.tenant(request)
        channel = await self._named(request, tenant)
        given = await self._managing.input(request, ChannelChange)
        if given.name is None and given.app_id is None:
            raise RefusedError(400, "there is nothing to change", "Send name, or appId to move the channel.")
        app_id = channel.app_id
        if given.app_id is not None:
            app_id = (await self._managing.referred(given.app_id, "app", tenant.apps.get)).id
        now = self._managing.clock()
        before = shown(channel)
        channel = replace(channel, name=given.name or channel.name, app_id=app_id, updated_at=now)
        changed = [ControlRecord(Place(Kind.CHANNEL, tenant.id, channel.id), channel)]
        subject = f"channel {channel.id}"
        await self._managing.change(
            request, Action.CHANNEL_CHANGE, subject, changed, before=before, after=shown(channel)
        )
        return json_answer(channel_answer(channel, request.identity))

    async def delete(self, request: Request) -> Response:
        """DELETE, as `one`: with a channel go its webhook endpoints."""
        tenant = self._managing.tenant(request)
        channel = await self._named(request, tenant)
        if channel.id in BUILT_IN[Kind.CHANNEL]:
            raise built_in("channel")
        gone = channel_places(tenant, channel.id)
        before = shown(channel) | gone_with_it([place for place in gone if place.kind is Kind.WEBHOOK])
        subject = f"channel {channel.id}"
        await self._managing.change(request, Action.CHANNEL_DELETE, subject, records_gone(gone), before=before)
        return done("the channel is deleted; its events stay, and publishing to it makes it again")

    async def _named(self, request: Request, tenant: Tenant) -> Channel:
        app = None
        if "app_id" in request.path_params:
            app = await self._managing.named(request, "app", tenant.apps.get)

        def find(number: int) -> Channel | None:
            channel = tenant.channel(number)
            return None if channel is None or (app is not None and channel.app_id != app.id) else channel

        return await self._managing.named(request, "channel", find)

    async def _create(self, request: Request, tenant: Tenant, app_id: int, name: str) -> Response:
        if len(tenant.made_channels) >= MAX_CHANNELS:
            raise limit_reached("channels", MAX_CHANNELS)
        now = self._managing.clock()
        channel = Channel(new_id(), app_id, name, now, now)
        made = [ControlRecord(Place(Kind.CHANNEL, tenant.id, channel.id), channel)]
        subject = f"channel {channel.id}"
        await self._managing.change(request, Action.CHANNEL_CREATE, subject, made, after=shown(channel))
        return json_answer(channel_answer(channel, request.identity), 201)
