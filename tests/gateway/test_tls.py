"""The gateway serves TLS itself: with its certificate nothing is answered without it, and a wrong pair is said."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from axonstream import AxonPush
from axonstream.gateway.http.tls import TlsError, server_context
from axonstream.local.free_ports import free_port
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import EXIT_MISMATCH
from kit.certificates import make_certificate
from kit.gateway_process import gateway_process


def with_tls(certificate: Path, key: Path, password: str = "") -> Settings:
    return Settings(
        gateway_tls_cert_file=certificate, gateway_tls_key_file=key, gateway_tls_key_password=SecretStr(password)
    )


@pytest.mark.services
def test_the_gateway_serves_https_alone_where_certificate_and_key_are_set(
    server_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S24: the gateway spoke plain HTTP alone, so keys crossed the network as text unless a proxy stood before it."""
    certificate, key = make_certificate(tmp_path, "gateway")
    port = free_port()
    settings = server_settings.model_copy(update={"gateway_tls_cert_file": certificate, "gateway_tls_key_file": key})
    url = settings.model_copy(update={"gateway_port": port}).local_gateway_url
    assert url == f"https://127.0.0.1:{port}"
    with gateway_process(settings, port) as (_, printed):
        assert printed.readline() == "ready gateway\n"
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/health/live")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{url}/health/live")

        trusting = ssl.create_default_context(cafile=str(certificate))
        trusting.set_alpn_protocols(["h2", "http/1.1"])
        with httpx.Client(verify=trusting) as client:
            assert client.get(f"{url}/health/live").status_code == 200
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            trusting.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            assert connection.version() == "TLSv1.3"
            assert connection.selected_alpn_protocol() == "http/1.1"

        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with AxonPush("ak_local", "1", base_url=url) as sdk:
            assert sdk.events.publish("over_tls", {"a": 1}, 1).event_id
            many = [{"identifier": f"e{n}", "payload": {"text": "x" * 1000}, "channel_id": 1} for n in range(500)]
            assert sdk.events.publish_many(many).accepted == 500


def test_versions_before_1_2_are_not_spoken(tmp_path: Path) -> None:
    context = server_context(with_tls(*make_certificate(tmp_path, "a")))
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert server_context(Settings()) is None


def test_a_key_may_be_encrypted(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "a", password="a password")
    assert server_context(with_tls(certificate, key, "a password")) is not None
    for wrong in ("", "another"):
        with pytest.raises(TlsError, match="AXONSTREAM_GATEWAY_TLS_KEY_PASSWORD"):
            server_context(with_tls(certificate, key, wrong))


def test_a_pair_that_cannot_be_used_is_said_with_its_settings(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "a")
    _, other_key = make_certificate(tmp_path, "b")
    (tmp_path / "empty").touch()
    for given, said in (
        ((certificate, other_key), "is not that of the certificate"),
        ((tmp_path / "none", key), "AXONSTREAM_GATEWAY_TLS_CERT_FILE names .*none, which cannot be read: No such file"),
        ((certificate, tmp_path / "none"), "AXONSTREAM_GATEWAY_TLS_KEY_FILE names .*none, which cannot be read"),
        ((tmp_path / "empty", key), "must be a certificate chain and its key"),
        ((certificate, certificate), "must be a certificate chain and its key"),
    ):
        with pytest.raises(TlsError, match=said):
            server_context(with_tls(*given))


def test_one_without_the_other_is_refused(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "a")
    for half in ({"gateway_tls_cert_file": certificate}, {"gateway_tls_key_file": key}):
        with pytest.raises(ValidationError, match="or neither"):
            Settings.model_validate(half)


@pytest.mark.slow
def test_a_gateway_with_a_wrong_pair_ends_with_one_line_that_says_so(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path, "a")
    _, other_key = make_certificate(tmp_path, "b")
    done = subprocess.run(
        [sys.executable, "-m", "axonstream.cli.main", "gateway"],
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(Path(__file__).parent.parent.parent),
            "AXONSTREAM_GATEWAY_TLS_CERT_FILE": str(certificate),
            "AXONSTREAM_GATEWAY_TLS_KEY_FILE": str(other_key),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == EXIT_MISMATCH
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert "the gateway does not start: the key in" in done.stderr


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:1"), ("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://127.0.0.1:1"),
     ("::1", "http://[::1]:1"), ("10.0.0.5", "http://10.0.0.5:1"), ("localhost", "http://localhost:1")],
)  # fmt: skip
def test_the_address_for_programs_of_the_same_machine(host: str, url: str) -> None:
    assert Settings(gateway_host=host, gateway_port=1).local_gateway_url == url
