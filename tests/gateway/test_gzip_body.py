"""Compressed bodies are stored as if they had been sent plain, within the same limits; other encodings are 415."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from typing import Any

import orjson
import pytest

from axonstream.gateway.http.errors import RefusedError
from axonstream.gateway.http.gzip_body import unpacked
from kit.offline_gateway import HEADERS, OfflineGateway

EVENT: dict[str, Any] = {"identifier": "step", "payload": {"numbers": "1" * 5000}, "channel_id": 1}
ONE, MANY = orjson.dumps(EVENT), orjson.dumps([EVENT] * 3)
GZIP = {"Content-Encoding": "gzip"}


def post(offline: OfflineGateway, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    answer = offline.send("POST", path, content=body, headers={**HEADERS, **headers})
    return answer.status_code, answer.json()


@pytest.mark.parametrize("name", ["gzip", "GZip", "x-gzip", " gzip "])
def test_a_compressed_body_is_stored_as_if_it_were_plain(offline: OfflineGateway, name: str) -> None:
    """S19: compressed batches were answered 200, and lost."""
    assert post(offline, "/event", gzip.compress(ONE), {"Content-Encoding": name})[0] == 201
    two_members = gzip.compress(MANY[:100]) + gzip.compress(b"") + gzip.compress(MANY[100:])
    for body in (gzip.compress(MANY), two_members, gzip.compress(ONE + b"\n" + ONE + b"\n" + ONE)):
        status, answer = post(offline, "/events", body, {"Content-Encoding": name})
        assert (status, answer["accepted"]) == (200, 3)
    assert len(offline.log.records) == 10
    assert len({orjson.dumps(orjson.loads(record.value)["payload"]) for record in offline.log.records}) == 1


@pytest.mark.parametrize("name", ["identity", "Identity", ""])
def test_identity_is_no_encoding(offline: OfflineGateway, name: str) -> None:
    assert post(offline, "/event", ONE, {"Content-Encoding": name})[0] == 201
    assert post(offline, "/events", MANY, {"Content-Encoding": name})[1]["accepted"] == 3


@pytest.mark.parametrize("name", ["br", "deflate", "zstd", "gzip, gzip", "gzip;q=1", "chunked"])
@pytest.mark.parametrize("path", ["/event", "/events", "/apps"])
def test_any_other_encoding_is_415_and_names_gzip(offline: OfflineGateway, name: str, path: str) -> None:
    """S19: RFC 9110 15.5.16 asks for Accept-Encoding in the answer."""
    answer = offline.send("POST", path, content=ONE, headers={**HEADERS, "Content-Encoding": name})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer.headers["Accept-Encoding"] == "gzip"
    assert "gzip" in answer.json()["hint"]
    assert offline.log.records == []


PACKED = gzip.compress(ONE)


@pytest.mark.parametrize(
    "body",
    [
        ONE,
        PACKED[:-1],
        PACKED[:10],
        PACKED[:1],
        PACKED + b"x",
        PACKED + PACKED[:20],
        PACKED[:-6] + b"\0\0" + PACKED[-4:],
        zlib.compress(ONE),
        gzip.compress(b"") * 1001,
    ],
    ids=["plain", "cut", "head", "byte", "garbage behind", "half behind", "checksum", "zlib", "members"],
)
def test_what_is_not_gzip_is_400(offline: OfflineGateway, body: bytes) -> None:
    for path in ("/event", "/events"):
        status, answer = post(offline, path, body, GZIP)
        assert status == 400
        assert "gzip" in answer["message"]
    assert offline.log.records == []
    assert post(offline, "/event", b"", GZIP)[0] == 400


@pytest.mark.slow
def test_unpacking_stops_at_the_limit_and_takes_no_more_memory_than_that(offline: OfflineGateway) -> None:
    """S19: 1 GiB in 1 MiB: 413, and 32 MiB at most are ever there."""
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    tracemalloc.start()
    try:
        for path, most in (("/event", 1 << 20), ("/events", 32 << 20)):
            status, answer = post(offline, path, bomb, GZIP)
            assert (status, answer["code"]) == (413, "payload_too_large")
            assert str(most) in answer["message"]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20


def test_the_packed_size_has_the_same_limit(offline: OfflineGateway) -> None:
    body = gzip.compress(b"", 0) + bytes(1 << 20)
    assert post(offline, "/event", body, GZIP)[0] == 413


@pytest.mark.slow
def test_others_have_turns_while_a_body_is_unpacked() -> None:
    """S19: 32 MiB take a tenth of a second of CPU or more."""
    turns: list[int] = []
    packed = gzip.compress(bytes(32 << 20))

    async def scenario() -> None:
        unpacking = asyncio.create_task(unpacked(packed, 32 << 20, lambda _: None))
        while not unpacking.done():
            turns.append(1)
            await asyncio.sleep(0)
        assert len(await unpacking) == 32 << 20
        with pytest.raises(RefusedError, match="when it is unpacked"):
            await unpacked(packed, (32 << 20) - 1, lambda _: None)

    asyncio.run(scenario())
    assert len(turns) > 100
