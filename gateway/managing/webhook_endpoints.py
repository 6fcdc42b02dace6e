"""POST /webhooks/endpoints, GET .../endpoints/channel/{id}, DELETE .../endpoints/{id}, GET .../deliveries/{id}.

Endpoints are managed; nothing is sent to them yet, so every list of deliveries is empty.
"""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from axonstream.gateway.control.audit_entry import Action, shown
from axonstream.gateway.control.data import MAX_WEBHOOKS, Tenant
from axonstream.gateway.control.records import ControlRecord, Kind, Place, WebhookEndpoint, new_id
from axonstream.gateway.control.webhook_secrets import WebhookSecrets
from axonstream.gateway.http.errors import RefusedError
from axonstream.gateway.managing.answers import NewEndpointAnswer, endpoint_answer
from axonstream.gateway.managing.inputs import EndpointInput
from axonstream.gateway.managing.routes import Managing, done, json_answer, limit_reached, listed
from axonstream.gateway.managing.webhook_urls import host_of, why_not_public
from axonstream.gateway.routing.request import Request


class WebhookEndpoints:
    """The handlers."""

    def __init__(self, managing: Managing, secrets: WebhookSecrets, *, private_addresses: bool) -> None:
        self._managing = managing
        self._secrets = secrets
        self._private_addresses = private_addresses

    async def create(self, request: Request) -> Response:
        """201 with the secret, which is told only here; 400 for a URL that nothing can be sent to, 409 at the limit."""
        identity, tenant = request.identity, self._managing.tenant(request)
        given = await self._managing.input(request, EndpointInput)
        if not self._private_addresses and (why := why_not_public(host_of(given.url))):
            raise RefusedError(
                400,
                [f"url must be one of a receiver on the internet: {why}"],
                "Use the receiver's public name. The operator can allow addresses inside the network: "
                "AXONSTREAM_WEBHOOK_PRIVATE_ADDRESSES=true.",
            )
        channel = await self._managing.referred(given.channel_id, "channel", tenant.channel)
        secret = given.secret or self._secrets.new()
        now = self._managing.clock()
        endpoint = WebhookEndpoint(
            id=new_id(),
            channel_id=channel.id,
            url=given.url,
            event_types=tuple(dict.fromkeys(given.event_types or ())),
            description=given.description or "",
            active=True,
            sealed_secret=self._secrets.seal(secret),
            created_at=now,
            updated_at=now,
        )
        made, given_up = [ControlRecord(Place(Kind.WEBHOOK, tenant.id, endpoint.id), endpoint)], _room(tenant)
        before = None
        if given_up is not None:
            made.append(ControlRecord(Place(Kind.WEBHOOK, tenant.id, given_up.id), None))
            before = {"deleted_for_room": given_up.id, **shown(given_up)}
        subject = f"webhook endpoint {endpoint.id}"
        await self._managing.change(request, Action.WEBHOOK_CREATE, subject, made, before=before, after=shown(endpoint))
        answer: NewEndpointAnswer = {**endpoint_answer(endpoint, identity), "secret": secret, "rawSecret": secret}
        return json_answer(answer, 201)

    async def of_channel(self, request: Request) -> Response:
        """The endpoints of a channel, the oldest first, with those that were deactivated."""
        identity, tenant = request.identity, self._managing.tenant(request)
        channel = await self._managing.named(request, "channel", tenant.channel)
        found = [endpoint for endpoint in tenant.webhooks.values() if endpoint.channel_id == channel.id]
        found.sort(key=lambda endpoint: (endpoint.created_at, endpoint.id))
        return listed([endpoint_answer(endpoint, identity) for endpoint in found], "data", identity)

    async def deactivate(self, request: Request) -> Response:
        """Nothing will be sent to it any more, and its secret is forgotten; doing it again changes nothing."""
        tenant = self._managing.tenant(request)
        endpoint = await self._managing.named(request, "endpoint", tenant.webhooks.get)
        if endpoint.active:
            ended = replace(endpoint, active=False, sealed_secret="", updated_at=self._managing.clock())
            changed = [ControlRecord(Place(Kind.WEBHOOK, tenant.id, endpoint.id), ended)]
            await self._managing.change(
                request,
                Action.WEBHOOK_DEACTIVATE,
                f"webhook endpoint {endpoint.id}",
                changed,
                before=shown(endpoint),
                after=shown(ended),
            )
        return done("the webhook endpoint is deactivated")

    async def deliveries(self, request: Request) -> Response:
        """An empty list."""
        identity, tenant = request.identity, self._managing.tenant(request)
        await self._managing.named(request, "endpoint", tenant.webhooks.get)
        return listed([], "data", identity)


def _room(tenant: Tenant) -> WebhookEndpoint | None:
    """At the limit the endpoint that was deactivated first makes room. Raises RefusedError 409 when none was."""
    if len(tenant.webhooks) < MAX_WEBHOOKS:
        return None
    ended = [endpoint for endpoint in tenant.webhooks.values() if not endpoint.active]
    if not ended:
        raise limit_reached("webhook endpoints", MAX_WEBHOOKS)
    return min(ended, key=lambda endpoint: (endpoint.updated_at, endpoint.id))
