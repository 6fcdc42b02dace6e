"""Proxies and certificates of the environment: a server on this machine is asked directly, errors name the variable."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import certifi
import pytest

from axonstream import APIConnectionError, AsyncAxonPush, AxonPush, ValidationError
from axonstream.http_environment import connecting
from axonstream.loopback import is_loopback

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUEST_METHOD")
FAR = "http://axonstream.example:8080"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost.", "127.0.0.1", "127.8.9.1", "[::1]", "::1", "[0:0:0:0:0:0:0:1]"]
)
def test_these_are_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["example", "localhost.example", "128.0.0.1", "[::2]", "127.0.0.1.example", ""])
def test_these_are_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"])
@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://127.0.0.1:9", "nonsense://", "http://[", "::"])
@pytest.mark.parametrize("never", ["", "127.0.0.1,localhost", "::1/128", "[::1]", "127.0.0.0/8", "http://["])
def test_a_server_on_this_machine_is_asked_directly_whatever_the_variables_say(
    base_url: str, proxy: str, never: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("NO_PROXY", never)
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file")
    assert connecting(base_url)[:2] == (None, None)
    AxonPush("ak_local", "1", base_url=base_url).close()
    asyncio.run(AsyncAxonPush("ak_local", "1", base_url=base_url).aclose())


@pytest.mark.parametrize(
    ("base_url", "variables", "used"),
    [
        (FAR, {"HTTP_PROXY": "http://proxy:3128"}, "HTTP_PROXY"),
        (FAR, {"http_proxy": "http://proxy:3128", "HTTP_PROXY": "http://other:1"}, "http_proxy"),
        (FAR, {"HTTPS_PROXY": "http://proxy:3128"}, None),
        ("https://axonstream.example", {"HTTPS_PROXY": "proxy:3128", "ALL_PROXY": "nonsense"}, "HTTPS_PROXY"),
        (FAR, {"ALL_PROXY": "proxy"}, "ALL_PROXY"),
        (FAR, {"HTTP_PROXY": "http://proxy:3128", "REQUEST_METHOD": "GET"}, None),
        (FAR, {"HTTP_PROXY": " "}, None),
        *(
            (FAR, {"ALL_PROXY": "http://proxy:3128", "NO_PROXY": never}, used)
            for never, used in [
                ("*", None),
                ("axonstream.example", None),
                ("AXONSTREAM.example", None),
                ("example", None),
                (".example", None),
                ("*.example", None),
                ("other, axonstream.example:8080", None),
                ("axonstream.example:8081", "ALL_PROXY"),
                ("stream.example", "ALL_PROXY"),
                ("", "ALL_PROXY"),
            ]
        ),
        ("http://10.1.2.3", {"ALL_PROXY": "http://proxy:3128", "NO_PROXY": "10.0.0.0/8"}, None),
        ("http://10.1.2.3:80", {"ALL_PROXY": "http://proxy:3128", "NO_PROXY": "10.1.2.3:80"}, None),
        ("http://11.1.2.3", {"ALL_PROXY": "http://proxy:3128", "NO_PROXY": "10.0.0.0/8,[fd00::]/8"}, "ALL_PROXY"),
        ("http://[fd00::1]:8080", {"ALL_PROXY": "http://proxy:3128", "NO_PROXY": "fd00::/8"}, None),
        ("http://[fd00::1]:8080", {"ALL_PROXY": "http://proxy:3128", "NO_PROXY": "[fd00::1]"}, None),
        ("http://[fd00::1]:8080", {"ALL_PROXY": "http://proxy:3128", "NO_PROXY": "::1/128"}, "ALL_PROXY"),
    ],
)
def test_which_proxy_is_used(base_url: str, variables: dict[str, str], used: str | None) -> None:
    how = connecting(base_url, variables)
    assert how.variable == used
    assert (how.proxy is None) == (used is None)


@pytest.mark.parametrize("kind", [AxonPush, AsyncAxonPush])
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALL_PROXY", "socks5://user:s3cret@127.0.0.1:9", r"httpx\[socks\]"),
        ("HTTPS_PROXY", "gopher://user:s3cret@proxy:1", "not http://"),
        ("https_proxy", "http://user:s3cret@proxy:port", "not http://"),
        ("ALL_PROXY", "http://", "no host"),
        ("SSL_CERT_FILE", "/no/such/file", "cannot be read"),
        ("SSL_CERT_DIR", "/no/such/directory", "cannot be read"),
        ("SSL_CERT_FILE", __file__, "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_names_the_variable_and_no_password(
    kind: Any, name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=said) as caught:
        kind("ak_local", "1", base_url="https://axonstream.example")
    assert name in caught.value.message
    assert "s3cret" not in str(caught.value)


def test_certificates_of_the_environment_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    assert connecting("https://axonstream.example").verify not in (True, False)
    monkeypatch.setenv("SSL_CERT_FILE", "")
    monkeypatch.setenv("SSL_CERT_DIR", str(Path(certifi.where()).parent))
    assert connecting("https://axonstream.example").verify not in (True, False)


def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:s3cret@127.0.0.1:1")
    with (
        AxonPush("ak_local", "1", base_url=FAR, max_retries=0) as client,
        pytest.raises(APIConnectionError, match="through the proxy that HTTP_PROXY names") as caught,
    ):
        client.traces.list()
    assert "NO_PROXY" in str(caught.value)
    assert "s3cret" not in str(caught.value)

    async def ask() -> None:
        async with AsyncAxonPush("ak_local", "1", base_url=FAR, max_retries=0) as asynchronous:
            await asynchronous.traces.list()

    with pytest.raises(APIConnectionError, match="HTTP_PROXY"):
        asyncio.run(ask())
    with (
        AxonPush("ak_local", "1", base_url=FAR, max_retries=0) as client,
        pytest.raises(APIConnectionError, match="HTTP_PROXY"),
        client.events.subscribe(),
    ):
        pass


def test_every_command_line_asks_a_stack_on_this_machine_directly(tmp_path: Path) -> None:
    """No part of the product leaves it to httpx what the environment means."""
    root = Path(__file__).parents[2]
    for layer in ("axonstream", "deploy", "local", "cli"):
        for file in (root / layer).rglob("*.py"):
            text = file.read_text()
            for call in ("httpx.get(", "httpx.post(", "httpx.Client(", "httpx.AsyncClient("):
                for asked in text.split(call)[1:]:
                    assert "trust_env=False" in asked.partition("\n        )")[0], (file, call)


@pytest.mark.slow
def test_the_program_of_the_report_gets_as_far_as_the_server() -> None:
    """`proxy_environment.py`: httpx's ImportError came before any server was asked."""
    program = """
from axonstream import AxonPush, APIConnectionError
try:
    with AxonPush("ak_local", "1", base_url="http://127.0.0.1:1", max_retries=0) as client:
        client.events.publish("step", {}, channel_id=1)
except APIConnectionError as error:
    print(error)
"""
    environment = {"ALL_PROXY": "socks5://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost,::1/128", "PATH": ""}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert "axonstream up" in done.stdout
    assert "PROXY" not in done.stdout
