"""What the environment says about connections: proxies, where none is used, and whose certificates are trusted.

Read here and handed to httpx, because httpx reads more of it than the address needs and raises its own errors: for a
proxy of another host, for `NO_PROXY=::1/128`, for a CA file that no http:// address asks for.

- A server on this machine (localhost, 127.0.0.0/8, ::1) is asked directly, whatever proxies there are.
- NO_PROXY takes `*`, hosts and their subdomains, addresses, networks as 10.0.0.0/8, each with or without a port.
- Otherwise the proxy of HTTPS_PROXY or HTTP_PROXY, or else ALL_PROXY, is used. What cannot be used is a
  ValidationError that names the variable.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import NamedTuple

import httpx

from axonstream.errors import ValidationError
from axonstream.loopback import is_loopback

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


class Connecting(NamedTuple):
    """How to reach one server; `variable` names the proxy in the environment, for messages."""

    proxy: httpx.Proxy | None
    variable: str | None
    verify: ssl.SSLContext | bool


def connecting(base_url: str, environment: Mapping[str, str] = os.environ) -> Connecting:
    """How to reach `base_url`, which has been checked. Raises ValidationError, which names the wrong variable."""
    url = httpx.URL(base_url)
    variable = None if is_loopback(url.host) else _variable_of_proxy(url, environment)
    proxy = None if variable is None else _proxy_of(variable, environment[variable])
    return Connecting(proxy, variable, _trusted(url, environment))


def _variable_of_proxy(url: httpx.URL, environment: Mapping[str, str]) -> str | None:
    by_name = {name.lower(): name for name in sorted(environment) if environment[name].strip()}  # lower case wins
    if "request_method" in by_name and by_name.get("http_proxy") == "HTTP_PROXY":
        del by_name["http_proxy"]  # in a CGI program it is a header of the request: https://httpoxy.org
    if (never := by_name.get("no_proxy")) and _is_listed(url, environment[never]):
        return None
    return by_name.get(f"{url.scheme}_proxy") or by_name.get("all_proxy")


def _is_listed(url: httpx.URL, hosts: str) -> bool:
    port = str(url.port or {"http": 80, "https": 443}.get(url.scheme))
    return any(_is_meant(url.host.lower(), port, listed) for listed in hosts.lower().replace(",", " ").split())


def _is_meant(host: str, port: str, listed: str) -> bool:
    if listed == "*":
        return True
    listed = listed.rpartition("://")[2]
    try:
        return ip_address(host) in ip_network(listed.replace("[", "").replace("]", ""), strict=False)
    except ValueError:  # a name on one side, or a port
        pass
    name, colon, listed_port = listed.rpartition(":")
    if colon and listed_port.isdecimal():
        return listed_port == port and _is_meant(host, port, name)
    name = listed.removeprefix("*").removeprefix(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _proxy_of(variable: str, address: str) -> httpx.Proxy:
    """The address may hold a password: no message shows it."""
    address = address.strip()
    try:
        proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
        if not proxy.url.host:
            raise _unusable(variable, "it has no host")
        httpx.HTTPTransport(proxy=proxy, verify=False).close()
    except ImportError:
        raise _unusable(variable, "a SOCKS proxy needs `pip install 'httpx[socks]'`") from None
    except (ValueError, httpx.InvalidURL):
        raise _unusable(variable, "it is not http://, https:// or socks5://HOST:PORT") from None
    return proxy


def _unusable(variable: str, why: str) -> ValidationError:
    return ValidationError(
        f"the proxy that {variable} names cannot be used: {why}",
        hint=f"Correct {variable}, or add the server's host to NO_PROXY to ask it directly.",
    )


def _trusted(url: httpx.URL, environment: Mapping[str, str]) -> ssl.SSLContext | bool:
    if url.scheme != "https":
        return False  # nothing is encrypted, so that no certificate is looked at
    variable = next((name for name in _CERTIFICATES if environment.get(name)), None)
    if variable is None:
        return True
    where = environment[variable]
    try:
        if variable == "SSL_CERT_DIR":
            os.listdir(where)  # OpenSSL says nothing of a directory that is not there
            return ssl.create_default_context(capath=where)
        return ssl.create_default_context(cafile=where)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ValidationError(
            f"the certificates that {variable} names cannot be read: {error}",
            hint=f"Correct {variable}, or unset it to trust the usual authorities.",
        ) from None
