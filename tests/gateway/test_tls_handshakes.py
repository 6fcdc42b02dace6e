"""A connection that never ends its TLS handshake is counted and closed like one that never ends its head."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import uvloop
from http_by_hand import PATIENCE_S, answer, request, serving, statuses

from axonstream.gateway.http.connections import Connections
from axonstream.gateway.http.tls import server_context
from axonstream.gateway.server import http_protocol
from axonstream.settings.settings import Settings
from kit.certificates import make_certificate
from kit.until import until

CLOSE = b"Connection: close\r\n"


def contexts(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The gateway's, and that of a client that trusts it."""
    certificate, key = make_certificate(directory, "gateway")
    server = server_context(Settings(gateway_tls_cert_file=certificate, gateway_tls_key_file=key))
    assert server is not None
    return server, ssl.create_default_context(cafile=str(certificate))


async def ask(port: int, trusting: ssl.SSLContext) -> list[int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
    writer.write(request(b"whole", head=CLOSE))
    came = await reader.read()
    writer.close()
    return statuses(came)


@pytest.mark.slow
@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_handshakes_are_counted_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: object) -> None:
    """S9: with TLS, 40 silent connections were counted as none where 5 may be open, and stayed for a minute."""
    monkeypatch.setattr("axonstream.gateway.http.connections.HEAD_S", 1.0)
    server, trusting = contexts(tmp_path)
    connections = Connections(5, 5)

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving(protocol=http_protocol(server, connections)) as port:
            silent = [asyncio.create_task(answer(port)) for _ in range(20)]
            await until(lambda: connections.refused["total"] == 15, "those beyond the limit are refused", PATIENCE_S)
            assert connections.open == 5
            assert b"".join(await asyncio.gather(*silent)) == b""
            await until(lambda: connections.open == 0, "all places are free again", PATIENCE_S)
            plain = await answer(port, [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
            assert statuses(plain) == []
            monkeypatch.setattr("axonstream.gateway.http.connections._LONG_FOR_A_HEAD_S", 0.0)
            silent = [asyncio.create_task(answer(port)) for _ in range(5)]
            await until(lambda: connections.open == 5, "all places are taken", PATIENCE_S)
            assert await ask(port, trusting) == [201]  # which one of them has made room for
            await asyncio.gather(*silent)
            monkeypatch.undo()
            for _ in range(20):
                assert await asyncio.gather(*(ask(port, trusting) for _ in range(4))) == [[201]] * 4
            await until(lambda: connections.open == 0, "all have left", PATIENCE_S)

    with asyncio.Runner(loop_factory=loop) as runner:  # pyright: ignore[reportArgumentType]  the loops' own makers
        runner.run(scenario())
