"""A ClickHouse on this machine is asked directly, whatever proxies the environment names.

clickhouse-connect (0.9 to 1.12) looks at HTTP_PROXY for 127.0.0.1, too, and has no option that says otherwise: with the
variable of a company network, `axonstream up` would not find its own ClickHouse.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from clickhouse_connect.driver import httpclient, httputil

from axonstream.settings.loopback import is_loopback

_Check = Callable[[str, str, int], str | None]


def _past_loopback(check: _Check) -> _Check:
    @wraps(check)
    def checked(scheme: str, host: str, port: int) -> str | None:
        return None if is_loopback(host) else check(scheme, host, port)

    return checked


def ask_loopback_directly() -> None:
    """For every client of this process that is made from now on."""
    if not hasattr(httputil.check_env_proxy, "__wrapped__"):
        checked = _past_loopback(httputil.check_env_proxy)
        httputil.check_env_proxy = checked  # the asynchronous client looks it up here
        httpclient.check_env_proxy = checked  # pyright: ignore[reportPrivateImportUsage]  and the blocking one there
