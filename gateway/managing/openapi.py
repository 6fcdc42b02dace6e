"""What /openapi.json says of apps, channels, webhook endpoints and OTLP."""

from __future__ import annotations

from typing import Any

from axonstream.gateway.http.openapi_errors import errors
from axonstream.gateway.managing import answers, inputs

INPUTS = (
    inputs.AppInput,
    inputs.ChannelInput,
    inputs.AppChannelInput,
    inputs.ChannelChange,
    inputs.EndpointInput,
)
ANSWERS: tuple[Any, ...] = (
    answers.AppAnswer,
    answers.AppsAnswer,
    answers.ChannelAnswer,
    answers.ChannelsAnswer,
    answers.EndpointAnswer,
    answers.EndpointsAnswer,
    answers.NewEndpointAnswer,
    answers.DeliveryAnswer,
    answers.DeliveriesAnswer,
    answers.DoneAnswer,
)
Part = dict[str, Any]


def management_paths() -> Part:
    """The paths."""

    def call(summary: str, path: str, answer: Part, status: str = "200", body: str = "") -> Part:
        without_secret = (501,) if body == "EndpointInput" else ()  # a server that cannot encrypt an endpoint's
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in ("app_id", "channel_id", "endpoint_id")
            if f"{{{name}}}" in path
        ]
        refusals = errors(404, 409, 413, 415, *without_secret) if body else errors(404)
        responses = {status: {"description": summary, **_json(answer)}, **refusals}
        described: Part = {"summary": summary, "parameters": parameters, "responses": responses}
        return described | ({"requestBody": {"required": True, **_json(_ref(body))}} if body else {})

    def single(path: str, what: str, answer: str, method: str, body: str) -> Part:
        return {
            "get": call(f"One {what}", path, _ref(answer)),
            method: call(f"Change a {what}", path, _ref(answer), body=body),
            "delete": call(f"Delete a {what}", path, _ref("DoneAnswer")),
        }

    app, app_channels = "/apps/{app_id}", "/apps/{app_id}/channels"
    channel, app_channel = "/channel/{channel_id}", "/apps/{app_id}/channels/{channel_id}"
    of_channel, endpoint = "/webhooks/endpoints/channel/{channel_id}", "/webhooks/endpoints/{endpoint_id}"
    deliveries = "/webhooks/deliveries/{endpoint_id}"
    return {
        "/apps": {
            "get": call("Apps, the oldest first", "", _list("AppAnswer", "AppsAnswer")),
            "post": call("Make an app", "", _ref("AppAnswer"), "201", "AppInput"),
        },
        app: single(app, "app", "AppAnswer", "patch", "AppInput"),
        app_channels: {
            "get": call("Channels of an app", app_channels, _list("ChannelAnswer", "ChannelsAnswer")),
            "post": call("Make a channel", app_channels, _ref("ChannelAnswer"), "201", "AppChannelInput"),
        },
        app_channel: single(app_channel, "channel", "ChannelAnswer", "put", "ChannelChange"),
        "/channel": {"post": call("Make a channel", "", _ref("ChannelAnswer"), "201", "ChannelInput")},
        channel: single(channel, "channel", "ChannelAnswer", "put", "ChannelChange"),
        "/webhooks/endpoints": {
            "post": call("Make a webhook endpoint", "", _ref("NewEndpointAnswer"), "201", "EndpointInput")
        },
        of_channel: {
            "get": call("Webhook endpoints of a channel", of_channel, _list("EndpointAnswer", "EndpointsAnswer"))
        },
        endpoint: {"delete": call("Deactivate a webhook endpoint", endpoint, _ref("DoneAnswer"))},
        deliveries: {"get": call("Deliveries of an endpoint", deliveries, _list("DeliveryAnswer", "DeliveriesAnswer"))},
        "/v1/traces": {
            "post": {
                "summary": "OTLP traces; not taken yet",
                "requestBody": {"required": False, "content": {"application/x-protobuf": {}, "application/json": {}}},
                "responses": errors(501),
            }
        },
    }


def _ref(name: str) -> Part:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Part) -> Part:
    return {"content": {"application/json": {"schema": schema}}}


def _list(row: str, wrapped: str) -> Part:
    """A bare array for v0 clients, wrapped for v1 clients."""
    return {"oneOf": [{"type": "array", "items": _ref(row)}, _ref(wrapped)]}
