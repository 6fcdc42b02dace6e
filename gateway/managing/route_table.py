"""The routes of managing: apps, channels and webhook endpoints."""

from __future__ import annotations

from functools import partial

from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.managing.apps import Apps
from axonstream.gateway.managing.channels import Channels
from axonstream.gateway.managing.webhook_endpoints import WebhookEndpoints
from axonstream.gateway.routing.route import Route

_reads = partial(Route, scope=KeyScope.READ)
_changes = partial(Route, scope=KeyScope.ADMIN)


def managing_routes(apps: Apps, channels: Channels, webhooks: WebhookEndpoints) -> list[Route]:
    """A channel has two paths: of its own, and below its app."""
    app_channel, channel = "/apps/{app_id}/channels/{channel_id}", "/channel/{channel_id}"
    return [
        _reads("GET", "/apps", apps.every),
        _changes("POST", "/apps", apps.create),
        _reads("GET", "/apps/{app_id}", apps.one),
        _changes("PATCH", "/apps/{app_id}", apps.rename),
        _changes("DELETE", "/apps/{app_id}", apps.delete),
        _reads("GET", "/apps/{app_id}/channels", channels.of_app),
        _changes("POST", "/apps/{app_id}/channels", channels.create_in_app),
        _changes("POST", "/channel", channels.create),
        *(_reads("GET", path, channels.one) for path in (app_channel, channel)),
        *(_changes("PUT", path, channels.change) for path in (app_channel, channel)),
        *(_changes("DELETE", path, channels.delete) for path in (app_channel, channel)),
        _changes("POST", "/webhooks/endpoints", webhooks.create),
        _reads("GET", "/webhooks/endpoints/channel/{channel_id}", webhooks.of_channel),
        _changes("DELETE", "/webhooks/endpoints/{endpoint_id}", webhooks.deactivate),
        _reads("GET", "/webhooks/deliveries/{endpoint_id}", webhooks.deliveries),
    ]
