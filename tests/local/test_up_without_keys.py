"""`axonstream up` without a key of its own, and with TLS: it starts, says how to make a key, and the commands work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from axonstream import AxonPush
from axonstream.local.endpoints import read_endpoints
from kit.certificates import make_certificate

pytestmark = pytest.mark.services

STOPS_WITHIN_S = 60


def test_it_starts_says_how_to_make_a_key_and_serves_what_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S7: AXONSTREAM_API_KEYS="" was refused, so nobody could do without a static key that has every scope."""
    certificate, key_file = make_certificate(tmp_path, "local")
    directory = tmp_path / "data"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AXONSTREAM_")}
    environment = clean | {
        "AXONSTREAM_API_KEYS": "",
        "AXONSTREAM_GATEWAY_TLS_CERT_FILE": str(certificate),
        "AXONSTREAM_GATEWAY_TLS_KEY_FILE": str(key_file),
        "SSL_CERT_FILE": str(certificate),
    }

    def axonstream(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "axonstream.cli.main", *words, "--data-dir", str(directory)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    ports = ["--port", "0", "--kafka-port", "0", "--clickhouse-port", "0"]
    stack = subprocess.Popen(
        [sys.executable, "-m", "axonstream.cli.main", "up", *ports, "--data-dir", str(directory)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert stack.stdout is not None
    try:
        lines: list[str] = []
        for line in stack.stdout:
            lines.append(line)
            if line.startswith("axonstream is ready: "):
                break
        else:
            pytest.fail("".join(lines))
        assert "(no API key; make one with `axonstream keys create --tenant TENANT --name NAME" in lines[-1]
        assert str(directory) in lines[-1]
        assert "AXONSTREAM_API_KEYS has no key: make one with" in (directory / "logs" / "gateway.log").read_text()
        found = read_endpoints(directory)
        assert found is not None
        assert (found.gateway_url.partition("://")[0], found.api_key) == ("https", None)

        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        known_by_all = {"X-API-Key": "ak_local", "x-tenant-id": "1"}
        assert httpx.get(f"{found.gateway_url}/traces", headers=known_by_all).status_code == 401
        for words in (["trace", "list"], ["demo"]):
            refused = axonstream(*words)
            assert (refused.returncode, refused.stderr.count("axonstream keys create")) == (6, 1), refused.stderr

        made = axonstream("keys", "create", "--tenant", "3", "--name", "ci")
        assert made.returncode == 0
        key = made.stdout.strip()
        with AxonPush(key, "3", base_url=found.gateway_url) as client:
            client.events.publish("step", {}, 1, trace_id="tr_own_key")
        listed = axonstream("trace", "list", "--api-key", key, "--tenant", "3")
        assert "tr_own_key" in listed.stdout
    finally:
        stack.send_signal(signal.SIGTERM)
        try:
            assert stack.wait(STOPS_WITHIN_S) == 0
        finally:
            stack.kill()
            stack.stdout.close()
