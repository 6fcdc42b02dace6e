"""Publishing from web pages: CORS for the public tokens that name a page's origin, and for nothing else.

A page sends its token in a header of its own, so a browser asks first, without the token (the preflight). That is
answered for every origin that any token names; which token, and whose, is not told. The request that follows is
answered for the origins of its own token alone. https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from axonstream.gateway.control.data import ControlData
from axonstream.gateway.http.errors import RefusedError, UnavailableError
from axonstream.gateway.routing.request import Request

_HEADERS_OF_A_PUBLISH = (
    "content-encoding, content-type, traceparent, tracestate, x-axonpush-api-key, x-axonpush-environment, "
    "x-public-token, x-request-id, x-tenant-id"
)
_MAX_AGE_S = 600
_MAKE_ONE = "Make a public token that names the page: axonstream keys create --public --origin https://app.example ..."


class BrowserPages:
    """`clock` gives ms since 1970."""

    def __init__(self, control: ControlData, clock: Callable[[], int]) -> None:
        self._control = control
        self._clock = clock

    async def preflight(self, request: Request) -> Response:
        """OPTIONS /event and /events: 204, or RefusedError 403 for an origin that no valid token names."""
        origin = request.headers.get(b"origin", b"").decode("latin-1")
        if request.headers.get(b"access-control-request-method") != b"POST" or not self._control.is_named(
            origin, self._clock()
        ):
            if not self._control.loaded:
                raise UnavailableError("the keys have not been read from Kafka yet", "Send the request again.")
            raise RefusedError(403, "no public token lets a page of this origin publish", _MAKE_ONE)
        headers = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": _HEADERS_OF_A_PUBLISH,
            "Access-Control-Max-Age": str(_MAX_AGE_S),
            "Vary": "Origin",
        }
        return Response(status_code=204, headers=headers)


def cors_headers(origin: bytes) -> dict[str, str]:
    """What lets a page of `origin` read the answer to its publish."""
    return {
        "Access-Control-Allow-Origin": origin.decode("latin-1"),
        "Access-Control-Expose-Headers": "Retry-After, X-Request-Id",
        "Vary": "Origin",
    }
