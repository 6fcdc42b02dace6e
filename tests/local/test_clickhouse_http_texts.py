"""The pure parts of the embedded ClickHouse: splitting an INSERT, reading SQL, decompressing, and who may ask."""

from __future__ import annotations

import gzip
import zlib
from base64 import b64encode

import lz4.frame
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from axonstream.local.clickhouse_http.call import Call, User, authenticate, read_call
from axonstream.local.clickhouse_http.clickhouse_error import ClickHouseError
from axonstream.local.clickhouse_http.insert_statement import split_insert
from axonstream.local.clickhouse_http.request_body import BodyMemory
from axonstream.local.clickhouse_http.sql_text import code_of, literal, verb_of, with_client_ids
from axonstream.local.clickhouse_http.wire_format import decompress, exception_block

USERS = {"default": User("secret", readonly=False), "reader": User("secret", readonly=True)}


def call(body: bytes = b"", method: str = "POST", user: str = "default", **args: str) -> Call:
    return read_call(method=method, query_id="q", headers={}, args=args, body=body, user=(user, USERS[user]))


@pytest.mark.parametrize(
    ("text", "head", "name", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\0\1", "INSERT INTO t ", "Native", b"\0\1"),
        (b"insert into t (a) format JSONEachRow {}", "insert into t (a) ", "JSONEachRow", b"{}"),
        (b"INSERT INTO t\nFORMAT CSV\r\n1\n", "INSERT INTO t\n", "CSV", b"1\n"),
        (b"-- INSERT x FORMAT y\nINSERT INTO t /* FORMAT z */ FORMAT TSV\n1", None, "TSV", b"1"),
        (b"INSERT INTO `FORMAT CSV` FORMAT TSV\n\n1", "INSERT INTO `FORMAT CSV` ", "TSV", b"\n1"),
        (b"INSERT INTO t (values, format) FORMAT TSV 1", "INSERT INTO t (values, format) ", "TSV", b"1"),
        (b"INSERT INTO t (a) VALUES ('FORMAT CSV')", "INSERT INTO t (a) ", "Values", b" ('FORMAT CSV')"),
    ],
)
def test_the_data_of_an_insert_begin_after_its_format(text: bytes, head: str | None, name: str, data: bytes) -> None:
    found = split_insert(text)
    assert found is not None
    assert (found.format, b"".join(found.pieces)) == (name, data)
    assert head is None or found.head == head


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"SELECT 1 FORMAT CSV",
        b"INSERT INTO t SELECT 1 FORMAT CSV",
        b"INSERT INTO t (a)",
        b"/* INSERT",
        b"'",
        b"\xff",
    ],
)
def test_other_statements_are_not_split(text: bytes) -> None:
    assert split_insert(text) is None


@given(st.binary(max_size=200))
def test_any_data_survive_the_split(data: bytes) -> None:
    whole = split_insert(b"INSERT INTO t (a) FORMAT Native\n" + data)
    assert whole is not None
    assert b"".join(whole.pieces) == data
    apart = call(data, query="INSERT INTO t (a) FORMAT Native").insert
    assert apart is not None
    assert b"".join(apart.pieces) == data


@given(st.binary(max_size=300))
def test_no_text_breaks_the_split(text: bytes) -> None:
    try:
        found = split_insert(b"INSERT " + text)
    except UnicodeDecodeError:
        return
    assert found is None or text.endswith(b"".join(found.pieces))


@given(st.text(max_size=100))
def test_a_literal_is_one_string_to_the_reader_of_sql(text: str) -> None:
    assert code_of(f"SELECT {literal(text)}, 1") == "SELECT '', 1"


def test_code_is_what_is_not_comment_string_or_quoting() -> None:
    sql = "/* a; */ SELECT 'b;\\'', \"c;d\", `e` -- f\n, $x$ ' $x$, 'it''s'"
    assert code_of(sql).split() == ["SELECT", "'',", "c_d", ",", "e", ",", "'',", "''"]
    assert verb_of(code_of("/* SET */ -- x\n (SELECT 1)")) == "("


def test_query_ids_are_the_clients_but_strings_stay() -> None:
    shown = with_client_ids("SELECT query_id FROM system.processes WHERE query LIKE '%system.processes%'", "SELECT")
    assert "REPLACE (if(Settings['log_comment']" in shown
    assert shown.endswith("LIKE '%system.processes%'")
    killed = with_client_ids("KILL QUERY WHERE query_id = 'query_id' SYNC", "KILL")
    assert killed.startswith("KILL QUERY WHERE if(Settings")
    assert killed.endswith(" = 'query_id' SYNC")


def test_a_parameter_that_is_called_query_id_stays_one() -> None:
    killed = with_client_ids("KILL QUERY WHERE query_id = {query_id:String} SYNC", "KILL")
    assert killed.endswith(" = {query_id:String} SYNC")
    assert killed.startswith("KILL QUERY WHERE if(Settings")


ENCODERS = {"lz4": lz4.frame.compress, "zstd": zstd.compress, "gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("encoding", ENCODERS)
@given(frames=st.lists(st.binary(max_size=300), max_size=5))
def test_every_frame_is_decompressed(encoding: str, frames: list[bytes]) -> None:
    body = b"".join(ENCODERS[encoding](frame) for frame in frames)
    assert decompress(encoding, body, 2000) == b"".join(frames)


@pytest.mark.parametrize("encoding", ENCODERS)
def test_large_frames_are_decompressed(encoding: str) -> None:
    plain = bytes(range(256)) * 40_000
    assert decompress(encoding, ENCODERS[encoding](plain) * 2, 1 << 28) == plain * 2


@pytest.mark.parametrize("encoding", ENCODERS)
@given(cut=st.integers(min_value=1, max_value=60), data=st.binary(min_size=50, max_size=100))
def test_a_cut_body_is_refused(encoding: str, cut: int, data: bytes) -> None:
    body = ENCODERS[encoding](data)
    with pytest.raises(ClickHouseError) as refused:
        decompress(encoding, body[: max(1, len(body) - cut)], 2000)
    assert refused.value.code == 271


@pytest.mark.parametrize("encoding", ENCODERS)
@given(garbage=st.binary(min_size=1, max_size=100))
def test_garbage_never_does_worse_than_a_refusal(encoding: str, garbage: bytes) -> None:
    try:
        decompress(encoding, garbage, 2000)
    except ClickHouseError as refused:
        assert refused.code in (271, 223)  # noqa: PT017


@pytest.mark.parametrize("encoding", ENCODERS)
def test_a_body_that_unpacks_to_too_much_is_refused(encoding: str) -> None:
    with pytest.raises(ClickHouseError) as refused:
        decompress(encoding, ENCODERS[encoding](bytes(50 << 20)), 1 << 20)
    assert (refused.value.code, refused.value.status) == (223, 413)


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(ClickHouseError, match="br"):
        decompress("br", b"x", 100)


def test_bodies_share_their_memory_and_give_it_back() -> None:
    memory = BodyMemory(max_bytes=100)
    with memory.lease() as first, memory.lease() as second:
        first.take(60)
        with pytest.raises(ClickHouseError) as refused:
            second.take(41)
        second.take(40)
    assert (refused.value.code, refused.value.status, memory.used) == (241, 503, 0)


@pytest.mark.parametrize(
    "header",
    ["Basic !!!", "Basic", "Basic /w==", "Bearer x", "", "Basic " + b64encode(b"default:wrong").decode(), "Basic ü"],
)
def test_a_bad_authorization_is_refused_as_a_wrong_password(header: str) -> None:
    with pytest.raises(ClickHouseError) as refused:
        authenticate({"Authorization": header}, {"user": "default", "password": "secret"}, USERS)
    assert (refused.value.code, refused.value.status) == (516, 403)


def test_users_are_known_by_basic_auth_headers_or_url() -> None:
    basic = {"Authorization": "Basic " + b64encode(b"reader:secret").decode()}
    assert authenticate(basic, {}, USERS)[0] == "reader"
    assert authenticate({"X-ClickHouse-User": "reader", "X-ClickHouse-Key": "secret"}, {}, USERS)[1].readonly
    assert authenticate({}, {"password": "secret"}, USERS)[0] == "default"


def test_a_call_is_read_from_url_and_body() -> None:
    asked = call(
        b" 1 FORMAT JSON", query="SELECT", max_threads="2", param_a="x", query_id="q", database="d", session_id="s"
    )
    assert asked.sql == "SELECT\n 1 FORMAT JSON"
    assert (asked.settings, asked.params, asked.database) == ({"max_threads": "2"}, {"a": "x"}, "d")
    assert (asked.output_format, asked.only_reads, asked.insert) == ("JSON", True, None)
    assert call(query="SELECT 1", method="GET", readonly="0").settings["readonly"] == "2"
    assert call(query="SELECT 1", method="GET", readonly="1").settings["readonly"] == "1"
    assert "readonly" not in call(query="SELECT 1").settings
    reader = call(query="SELECT 1", user="reader", readonly="0", profile="default", session_id="s")
    assert list(reader.settings.items())[-1] == ("readonly", "1")
    assert reader.session is None
    assert not call(query="INSERT INTO t SELECT 1").only_reads


def test_values_are_part_of_the_statement_that_is_judged_unless_they_are_many() -> None:
    few = call(query="INSERT INTO t (a) SETTINGS x = 1 VALUES ({a:Int8}); ", param_a="1")
    assert few.insert is None
    judged = " ".join(few.judged.split())
    assert judged == "INSERT INTO t (a) SETTINGS x = 1 SELECT * FROM (VALUES ({a:Int8}) )"
    many = call(query="INSERT INTO t VALUES " + "(1)," * 50_000)
    assert many.insert is not None
    assert many.judged.endswith("FORMAT Values")


@pytest.mark.parametrize(
    ("body", "args", "code"),
    [
        (b"SELECT '\xff'", {}, 36),
        (b"INSERT INTO `\xff` FORMAT CSV\n1", {}, 36),
        (b"SELECT 1", {"session_id": "s", "session_timeout": "soon"}, 36),
        (b"SELECT 1", {"session_id": "s", "session_timeout": "nan"}, 36),
        (b"SELECT 1", {"default_format": "JSON\r\nX: y"}, 73),
        (b"SELECT 1", {"decompress": "1"}, 48),
        (b"SELECT " + b"1" * (1 << 20), {}, 223),
        (b"SELECT " + b"1" * (1 << 18), {}, 62),
        (b" ;/* nothing */", {}, 62),
        (b"SELECT 1\0", {}, 36),
        (b"SELECT 1", {"database": "system"}, 497),
        (b"SELECT 1", {"database": "/etc"}, 497),
    ],
)
def test_a_malformed_call_is_refused(body: bytes, args: dict[str, str], code: int) -> None:
    with pytest.raises(ClickHouseError) as refused:
        call(body, **args)
    assert refused.value.code == code


def test_the_exception_block_names_its_length_and_tag() -> None:
    assert exception_block("t4g", "Ü") == b"\r\n__exception__\r\nt4g\r\n\xc3\x9c\n3 t4g\r\n__exception__\r\n"
