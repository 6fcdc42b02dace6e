"""POST|GET /apps, GET|PATCH|DELETE /apps/{id}."""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from axonstream.gateway.control.audit_entry import Action, shown
from axonstream.gateway.control.data import BUILT_IN, MAX_APPS
from axonstream.gateway.control.records import App, ControlRecord, Kind, Place, new_id
from axonstream.gateway.managing.answers import app_answer
from axonstream.gateway.managing.channels import channel_places, gone_with_it
from axonstream.gateway.managing.inputs import AppInput
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


class Apps:
    """The handlers. App 1 is there from the start and holds the channels that publishing makes."""

    def __init__(self, managing: Managing) -> None:
        self._managing = managing

    async def every(self, request: Request) -> Response:
        """GET /apps, the oldest first."""
        identity, tenant = request.identity, self._managing.tenant(request)
        apps = sorted(tenant.apps.values(), key=lambda app: (app.created_at, app.id))
        return listed([app_answer(app, identity) for app in apps], "apps", identity)

    async def one(self, request: Request) -> Response:
        """GET /apps/{id}."""
        tenant = self._managing.tenant(request)
        app = await self._managing.named(request, "app", tenant.apps.get)
        return json_answer(app_answer(app, request.identity))

    async def create(self, request: Request) -> Response:
        """POST /apps: 201, and 409 at the limit."""
        identity, tenant = request.identity, self._managing.tenant(request)
        given = await self._managing.input(request, AppInput)
        if len(tenant.apps) >= MAX_APPS:
            raise limit_reached("apps", MAX_APPS)
        now = self._managing.clock()
        app = App(new_id(), given.name, now, now)
        made = [ControlRecord(Place(Kind.APP, tenant.id, app.id), app)]
        await self._managing.change(request, Action.APP_CREATE, f"app {app.id}", made, after=shown(app))
        return json_answer(app_answer(app, identity), 201)

    async def rename(self, request: Request) -> Response:
        """PATCH /apps/{id}."""
        identity, tenant = request.identity, self._managing.tenant(request)
        app = await self._managing.named(request, "app", tenant.apps.get)
        given = await self._managing.input(request, AppInput)
        before, app = shown(app), replace(app, name=given.name, updated_at=self._managing.clock())
        changed = [ControlRecord(Place(Kind.APP, tenant.id, app.id), app)]
        await self._managing.change(
            request, Action.APP_CHANGE, f"app {app.id}", changed, before=before, after=shown(app)
        )
        return json_answer(app_answer(app, identity))

    async def delete(self, request: Request) -> Response:
        """DELETE /apps/{id}. With an app go its channels and their webhook endpoints."""
        tenant = self._managing.tenant(request)
        app = await self._managing.named(request, "app", tenant.apps.get)
        if app.id in BUILT_IN[Kind.APP]:
            raise built_in("app")
        gone = [place for channel in tenant.channels(app.id) for place in channel_places(tenant, channel.id)]
        records = records_gone([*gone, Place(Kind.APP, tenant.id, app.id)])
        before = shown(app) | gone_with_it(gone)
        await self._managing.change(request, Action.APP_DELETE, f"app {app.id}", records, before=before)
        return done("the app is deleted, and its channels")
