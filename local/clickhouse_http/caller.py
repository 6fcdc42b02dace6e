"""Who may call at all: no web page, under whatever name it reached this port, and nobody by another name than its own.

A page makes the browser ask for any address, and a page whose name was pointed at 127.0.0.1 (DNS rebinding) even reads
the answers. The browser tells on them: by `Sec-Fetch-Site`, by `Origin`, and by the name in `Host`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from axonstream.clickhouse.codes import ACCESS_DENIED
from axonstream.local.clickhouse_http.clickhouse_error import ClickHouseError
from axonstream.settings.loopback import LOOPBACK_NAMES

_OWN_PAGES = frozenset({"none", "same-origin"})


def own_addresses(port: int) -> frozenset[str]:
    """What `Host` may say of a server on loopback."""
    named = frozenset(f"{name}:{port}" for name in LOOPBACK_NAMES)
    return named.union(LOOPBACK_NAMES) if port == 80 else named


def check_caller(headers: Callable[[str], Sequence[str]], addresses: frozenset[str] | None) -> None:
    """Raises ClickHouseError (403) for a page in a browser, and for a Host that is not one of `addresses`.

    `headers` returns every value of a header. Without `addresses` (a server that somebody made listen beyond loopback,
    with a password) any name is right, because it is not known which names lead there.
    """
    if any(site.strip().lower() not in _OWN_PAGES for site in headers("Sec-Fetch-Site")):
        raise _denied("Pages in a browser may not use this server.")
    hosts = [host.strip().lower() for host in headers("Host")]
    own = addresses if addresses is not None else frozenset(hosts)
    if any(origin.strip().lower() not in {f"http://{address}" for address in own} for origin in headers("Origin")):
        raise _denied("Pages in a browser may not use this server.")
    if len(hosts) != 1 or hosts[0] not in own:
        raise _denied(
            f"The Host header must name this server once, as one of {', '.join(sorted(own)) or 'its addresses'}: "
            "connect to it by that address."
        )


def _denied(what: str) -> ClickHouseError:
    return ClickHouseError(ACCESS_DENIED, what, "ACCESS_DENIED")
