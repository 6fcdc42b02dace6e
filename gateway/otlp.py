"""POST /v1/traces: not taken yet, and said so, so that no span is thought to be stored."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from axonstream.gateway.access.authentication import EARLY_KEY, PUBLIC_TOKEN, RECENT_KEY, Authentication
from axonstream.gateway.access.credentials import KeyScope
from axonstream.gateway.http.errors import RefusedError

_BEARER = b"bearer "


class Otlp:
    """The handler. The key may also come as `Authorization: Bearer`, as exporters send it."""

    def __init__(self, authentication: Authentication) -> None:
        self._authentication = authentication

    async def traces(self, request: Request) -> Response:
        """501 for a key that may publish."""
        headers: dict[bytes, bytes] = dict(request.scope["headers"])
        bearer = headers.get(b"authorization", b"")
        if bearer[: len(_BEARER)].lower() == _BEARER and not {EARLY_KEY, RECENT_KEY, PUBLIC_TOKEN} & headers.keys():
            headers[RECENT_KEY] = bearer[len(_BEARER) :].strip()
        self._authentication.identify_by(headers, KeyScope.INGEST)
        raise RefusedError(
            501,
            "OTLP traces are not taken by this server yet; nothing was stored",
            "Publish events with POST /event or POST /events.",
        )
