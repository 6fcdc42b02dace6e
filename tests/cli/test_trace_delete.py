"""`axonstream trace delete`: nothing happens by a slip, what is meant is asked for, and what is done is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner, Result

from axonstream.cli.main import main

ANSWER = {"ok": True, "traces": 1, "late": "refused", "deletionIds": ["7"], "status": "deleting", "message": "deleted"}


class Gateway(ThreadingHTTPServer):
    """Answers every request alike, and keeps what it was asked."""

    asked: list[str]
    status = 202


class _Handler(BaseHTTPRequestHandler):
    server: Gateway  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_DELETE(self) -> None:
        self.server.asked.append(self.path)
        body = json.dumps(ANSWER if self.server.status == 202 else {"message": "nothing has this session"}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002  the name is the base class's


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway(("127.0.0.1", 0), _Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(gateway: Gateway, *words: str, typed: str = "") -> Result:
    url = f"http://127.0.0.1:{gateway.server_address[1]}"
    return CliRunner().invoke(main, ["trace", "delete", *words, "--url", url, "--api-key", "ak_local"], input=typed)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["tr_1", "--session", "s"],
        ["--session", "s", "--user", "u"],
        ["--everything"],
        ["tr_1", "--everything", "--tenant", "1"],
        ["tr_1", "--late", "never"],
    ],
)
def test_a_slip_deletes_nothing(gateway: Gateway, words: list[str]) -> None:
    assert run(gateway, *words, "--yes").exit_code == 2
    assert gateway.asked == []


def test_it_asks_and_does_nothing_without_a_yes(gateway: Gateway) -> None:
    asked = run(gateway, "tr_1", typed="n\n")
    assert asked.exit_code == 1
    assert "Delete trace tr_1 for good?" in asked.output
    assert gateway.asked == []
    assert "ALL traces of tenant 1" in run(gateway, "--everything", "--tenant", "1", typed="\n").output
    assert gateway.asked == []


def test_what_is_meant_is_asked_of_the_gateway_and_told(gateway: Gateway) -> None:
    done = run(gateway, "tr_1", "--late", "stored", typed="y\n")
    assert (done.exit_code, gateway.asked.pop()) == (0, "/traces/tr_1?late=stored")
    assert "later events are refused" in done.output  # as the gateway says
    assert json.loads(run(gateway, "tr_1", "--yes", "-o", "json").stdout) == {
        "traces": 1,
        "late": "refused",
        "deletionIds": ["7"],
    }
    for words, path in (
        (["--session", "a b"], "/traces?sessionId=a%20b"),
        (["--user", "u"], "/traces?userId=u"),
        (["--everything", "--tenant", "1"], "/traces?tenant=1"),
    ):
        assert run(gateway, *words, "--yes").exit_code == 0
        assert gateway.asked[-1].replace("+", "%20") == path
    gateway.status = 404
    missing = run(gateway, "--session", "s", "--yes")
    assert missing.exit_code == 1
    assert "nothing has this session" in missing.output
