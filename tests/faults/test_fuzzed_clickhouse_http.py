"""Any bytes at the embedded ClickHouse's HTTP face: understood, or refused as ClickHouse would; it lives on."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote_from_bytes

import lz4.frame
import pytest
from backports import zstd
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from axonstream.local.clickhouse_http.call import User, read_call
from axonstream.local.clickhouse_http.clickhouse_error import ClickHouseError
from axonstream.local.clickhouse_http.insert_statement import split_insert
from axonstream.local.clickhouse_http.wire_format import decompress
from kit.clickhouse_process import ClickHouseProcess, serving

ANSWER_S = 60.0
LIMIT = 1 << 20
OWNER = ("default", User("", readonly=False))
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "deflate": zlib.compress,
    "gzip": lambda data: zlib.compress(data, wbits=zlib.MAX_WBITS | 16),
}
ENCODINGS = st.sampled_from(sorted(COMPRESS))

WORDS = (
    *(b"INSERT", b"INTO", b"t", b"VALUES", b"FORMAT", b"JSONEachRow", b"SELECT", b"1", b"SETTINGS", b"readonly=2"),
    *(b"--", b"/*", b"*/", b"# ", b"'", b'"', b"`", b"\\", b"(", b")", b";", b"\n", b" ", b"$a$", b"\x00", b"\xff"),
    *(b"{p:String}", b"system.processes", b"query_id", b"KILL QUERY WHERE", b"ENGINE = Kafka", b'{"a":1}'),
)
STATEMENTS = st.lists(st.sampled_from(WORDS) | st.binary(max_size=3), max_size=14).map(b" ".join)


@given(STATEMENTS)
@example(b"/*" * 50_000)
@example(b"'" * 100_000)
@example(b"(" * 100_000)
@example(b"INSERT INTO t FORMAT")
def test_an_insert_is_cut_where_its_data_begin_or_is_none(text: bytes) -> None:
    try:
        insert = split_insert(text)
    except UnicodeDecodeError:
        return
    if insert is not None:
        data = b"".join(insert.pieces)
        assert text.startswith(insert.head.encode())
        assert text.endswith(data)
        assert len(insert.head.encode()) + len(data) < len(text)


@given(
    st.dictionaries(
        st.sampled_from(["query", "session_id", "session_timeout", "default_format", "param_p", "compress", "odd"]),
        st.text(max_size=10) | STATEMENTS.map(lambda raw: raw.decode("latin-1")),
    ),
    STATEMENTS,
    st.sampled_from(["GET", "POST"]),
)
def test_any_call_is_understood_or_refused(args: dict[str, str], body: bytes, method: str) -> None:
    with suppress(ClickHouseError):
        call = read_call(method=method, query_id="q", headers={}, args=args, body=body, user=OWNER)
        assert (call.insert is None) != (call.sql == "")


@given(ENCODINGS, st.lists(st.binary(max_size=300), max_size=4), st.data())
def test_frames_are_read_to_their_end_or_refused(encoding: str, parts: list[bytes], data: st.DataObject) -> None:
    frames = b"".join(COMPRESS[encoding](part) for part in parts)
    assert decompress(encoding, frames, LIMIT) == b"".join(parts)
    at = data.draw(st.integers(0, len(frames)))
    for broken in (frames[:at], frames[:at] + data.draw(st.binary(max_size=5)) + frames[at + 1 :]):
        with suppress(ClickHouseError):
            assert len(decompress(encoding, broken, LIMIT)) <= LIMIT


@given(ENCODINGS, st.binary(max_size=200))
def test_any_bytes_are_frames_or_refused(encoding: str, raw: bytes) -> None:
    with suppress(ClickHouseError):
        assert len(decompress(encoding, raw, LIMIT)) <= LIMIT


@pytest.mark.slow
def test_a_small_body_that_would_fill_the_memory_is_refused() -> None:
    for encoding, compress in COMPRESS.items():
        with pytest.raises(ClickHouseError, match="is over"):
            decompress(encoding, compress(bytes(64 << 20)), LIMIT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    directory: Path = tmp_path_factory.mktemp("fuzzed") / "data"
    with serving(directory) as process:
        with process.client() as client:
            client.command("CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a")
        yield process


def answered(server: ClickHouseProcess, request: bytes) -> bytes:
    """Everything that comes back until the server closes, which it must within ANSWER_S."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_S) as peer:
        try:
            peer.sendall(request)
            peer.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: peer.recv(1 << 16), b""))
        except ConnectionError:  # it has closed what it no longer reads
            return b""


@st.composite
def requests(draw: st.DrawFn, port: int) -> bytes:
    """A request that closes its connection; its length, its encoding and its bytes may be wrong."""
    body = draw(STATEMENTS)
    encoding = draw(st.none() | ENCODINGS)
    if encoding and draw(st.booleans()):
        body = COMPRESS[encoding](body)
    length = max(0, len(body) + draw(st.sampled_from([0, 0, 0, -1, 1])))
    query = quote_from_bytes(draw(STATEMENTS)) if draw(st.booleans()) else ""
    head = b"%s /?query=%s HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\nContent-Length: %d\r\n" % (
        draw(st.sampled_from([b"POST", b"GET", b"PUT", b"\x00"])), query.encode(), port, length
    )  # fmt: skip
    if encoding:
        head += b"Content-Encoding: %s\r\n" % encoding.encode()
    if draw(st.booleans()):
        head += draw(st.sampled_from([b"X-ClickHouse-User: \xff\r\n", b"Authorization: Basic =\r\n", b"\x00: \r\n"]))
    return draw(st.just(head + b"\r\n" + body) | st.binary(max_size=60))


@pytest.mark.services
def test_the_server_answers_any_request_and_lives_on(server: ClickHouseProcess, soak: bool) -> None:
    @example_settings(
        max_examples=3000 if soak else 60,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.generate],
    )
    @given(requests(server.port))
    def lives(request: bytes) -> None:
        answer = answered(server, request)
        assert answer == b"" or answer.startswith(b"HTTP/1.")
        if answer.startswith(b"HTTP/1.1 500"):
            assert b"X-ClickHouse-Exception-Code: " in answer, "an error of the server itself"

    lives()
    assert server.process.poll() is None
    with server.client() as client:
        assert client.command("INSERT INTO t VALUES (77)") is not None
        assert client.query("SELECT count() FROM t WHERE a = 77").result_rows == [(1,)]
