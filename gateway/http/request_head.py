"""The headers of a request as one dict, once it is sure that two readers of them would read the same.

A proxy may judge a request by the first of two equal headers, and a server act by the last. So a header that decides
who asks, for whom or how a body is read stands once, and a request of HTTP/1.1 has one Host (RFC 9112 3.2).
"""

from __future__ import annotations

from collections import Counter

from starlette.types import Scope

from axonstream.gateway.http.errors import RefusedError
from axonstream.gateway.http.header_names import EARLY_KEY, ORIGIN, PUBLIC_TOKEN, RECENT_KEY, TENANT, Headers
from axonstream.settings.loopback import LOOPBACK_NAMES, is_loopback

_HOST = b"host"
_PARENT = b"traceparent"
_ONCE = frozenset(
    {
        _HOST,
        EARLY_KEY,
        RECENT_KEY,
        PUBLIC_TOKEN,
        TENANT,
        b"authorization",
        b"content-encoding",
        b"last-event-id",
        ORIGIN,
        b"x-axonpush-environment",
    }
)
_MOST_SEEN = 100


class RequestHead:
    """Reads the headers of every request; `hosts` are the names that Host may have, without port; None: any."""

    def __init__(self, hosts: frozenset[str] | None) -> None:
        self._hosts = hosts
        self._seen: set[bytes] = set()  # values of Host that are good, so that they need not be read again

    def headers(self, scope: Scope) -> Headers:
        """Raises RefusedError: 400 for a header that stands twice or a missing Host, 421 for a foreign Host."""
        sent: list[tuple[bytes, bytes]] = scope["headers"]
        headers = dict(sent)
        if len(headers) != len(sent):
            _look_for_repeated(sent, headers)
        host = headers.get(_HOST)
        if host is None or host not in self._seen:
            self._look_at(host, scope)
        return headers

    def _look_at(self, host: bytes | None, scope: Scope) -> None:
        if host is None:
            if scope["http_version"] == "1.1":
                raise RefusedError(400, "the header Host is missing", "Send it: HTTP/1.1 asks for it.")
            return  # no browser sends such a request
        if self._hosts is not None and _name(host) not in self._hosts:
            raise RefusedError(
                421,
                "this gateway does not answer to the name in the header Host",
                f"Use one of {', '.join(sorted(self._hosts))}, or add the name to AXONSTREAM_GATEWAY_HOSTS.",
            )
        if len(self._seen) < _MOST_SEEN:
            self._seen.add(host)


def allowed_hosts(gateway_host: str, gateway_hosts: str) -> frozenset[str] | None:
    """The names of the settings. Without any: those of loopback where only loopback is listened on, else None.

    A web page may have its own name resolve to 127.0.0.1 (DNS rebinding) and so reach what listens there, as a page of
    that origin; the browser still sends the page's name as Host. The port says nothing of that and may be any: it is
    another one behind a port forward.
    """
    names = {name.strip().lower() for name in gateway_hosts.split(",")} - {""}
    if names:
        return frozenset(names)
    if not is_loopback(gateway_host):
        return None
    return frozenset({*LOOPBACK_NAMES, f"[{gateway_host}]" if ":" in gateway_host else gateway_host.lower()})


def _name(host: bytes) -> str:
    """Host without its port, in lower case."""
    text = host.decode("latin-1").strip().lower()
    name, colon, port = text.rpartition(":")
    return name if colon and (not port or port.isdecimal()) and not text.endswith("]") else text


def _look_for_repeated(sent: list[tuple[bytes, bytes]], headers: Headers) -> None:
    for name, times in Counter(name for name, _ in sent).items():
        if times > 1 and name in _ONCE:
            raise RefusedError(
                400, f"the header {name.decode()} is there {times} times", "Send it once, or not at all."
            )
        if times > 1 and name == _PARENT:
            # It is not valid, and so ignored: https://www.w3.org/TR/trace-context/#a-traceparent-is-received
            del headers[name]
