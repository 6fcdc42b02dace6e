"""The origins of web pages that a public token names: `scheme://host[:port]`, as browsers send them in `Origin`."""

from __future__ import annotations

import re
from ipaddress import IPv6Address

_ORIGIN = re.compile(r"(https?)://([^/?#@:\[\]\s]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def read_origin(text: str) -> str:
    """The origin that `text` names, in the form that browsers send (https://html.spec.whatwg.org, "origin").

    Lower case, the scheme's own port left out. Raises ValueError for anything else: a path, a user, `null`, and `*`,
    because a token that every page may use is one that every page can take.
    """
    found = _ORIGIN.fullmatch(text.lower())
    if found is None:
        raise ValueError("an origin reads https://app.example or http://localhost:3000, without a path")
    scheme, host, port = found.groups()
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            raise ValueError("the host of an origin is no IPv6 address") from None
    elif not _NAME.fullmatch(host):
        raise ValueError("the host of an origin is a DNS name in ASCII (xn--... for others) or an address")
    number = _DEFAULT_PORTS[scheme] if port is None else int(port)
    if not 0 < number < 65536:
        raise ValueError("the port of an origin is 1 to 65535")
    return f"{scheme}://{host}" if number == _DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{number}"
