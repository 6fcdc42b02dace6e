"""The clients over real sockets: lost connections, forks, one client in several event loops."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from scripted_server import EVENT

from axonstream import AsyncAxonPush, AxonPush


class Handler(BaseHTTPRequestHandler):
    """Answers every publish, but drops the connection of the first one of an identifier that starts with `lost`."""

    protocol_version = "HTTP/1.1"
    timeout = 10
    dropped: set[str]
    peers: list[int]

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.peers.append(self.client_address[1])
        if event["identifier"].startswith("lost") and event["identifier"] not in self.dropped:
            self.dropped.add(event["identifier"])
            self.close_connection = True
            return
        body = json.dumps(EVENT | {"dedupKey": event["dedupKey"]}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True


@pytest.fixture
def handler() -> type[Handler]:
    return type("Fresh", (Handler,), {"dropped": set[str](), "peers": list[int]()})


@pytest.fixture
def url(handler: type[Handler]) -> Iterator[str]:
    with Server(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_connection_that_is_lost_is_made_again(url: str, handler: type[Handler]):
    with AxonPush("ak_local", "1", base_url=url, jitter=lambda: 0.0) as client:
        assert client.events.publish("lost", {}, 1, trace_id="tr_1", dedup_key="k").dedup_key == "k"
    assert len(handler.peers) == 2


def test_a_client_works_in_one_event_loop_after_another(url: str, handler: type[Handler]):
    client = AsyncAxonPush("ak_local", "1", base_url=url, jitter=lambda: 0.0)

    async def publish(identifier: str) -> None:
        await client.events.publish(identifier, {}, 1, trace_id="tr_1")
        await client._http.aclose()  # so that no socket outlives its loop; the client itself stays open

    asyncio.run(publish("lost"))
    asyncio.run(publish("b"))
    asyncio.run(client.aclose())
    assert len(handler.peers) == 3


@pytest.mark.slow
def test_a_forked_child_does_not_touch_the_parents_connection(url: str, handler: type[Handler]):
    program = f"""
import os
from axonstream import AxonPush
with AxonPush("ak_local", "1", base_url={url!r}, max_retries=0) as client:
    client.events.publish("a", {{}}, 1)
    child = os.fork()
    client.events.publish("b", {{}}, 1)
    if child:
        assert os.waitpid(child, 0)[1] == 0
        client.events.publish("c", {{}}, 1)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)
    assert len(handler.peers) == 4
    parents = handler.peers[0]
    assert handler.peers.count(parents) == 3
