"""Positions: exact round trips, and nothing that is no position of this log passes for one."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from axonstream.event_contract import MAX_ID
from axonstream.gateway.live.places import Places
from axonstream.gateway.live.position import (
    MOST_NAMED,
    Kind,
    Place,
    Position,
    PositionError,
    former_position,
    is_plain_position,
    mark_of,
    read_position,
)
from axonstream.gateway.sealed_texts import NotSealedHereError, SealedTexts, sealing_key
from axonstream.kafka.record_identity import SHORT_DIGEST_BYTES, short_digest
from axonstream.settings.settings import Settings
from kit.live_records import LiveRecord

KEY = bytes(range(64))
MARK = mark_of("cluster", "topic")
DIGESTS = st.binary(min_size=SHORT_DIGEST_BYTES, max_size=SHORT_DIGEST_BYTES).filter(any)
PLACES = st.integers(0, MAX_ID).map(Place) | st.builds(
    lambda last, back, digest: Place(last + back, back, digest),
    st.integers(0, MAX_ID - 300),
    st.integers(1, 300),
    DIGESTS,
)
VECTORS = st.lists(PLACES, min_size=1, max_size=40).map(lambda places: dict(enumerate(places)))
TIMES = st.integers(0, 2**48 - 1)


def position_of(kind: Kind, places: dict[int, Place], newest_ms: int = 0) -> bytes:
    return Places(MARK, places, newest_ms).position(kind, next(iter(places)))


@given(VECTORS, TIMES)
def test_a_vector_says_where_every_partition_goes_on_and_after_which_record(
    places: dict[int, Place], newest_ms: int
) -> None:
    position = position_of(Kind.VECTOR, places, newest_ms)
    assert read_position(position, MARK) == Position(Kind.VECTOR, places, newest_ms)


@given(st.integers(0, 9999), PLACES, TIMES)
def test_a_traces_position_says_its_partition_and_place(partition: int, place: Place, newest_ms: int) -> None:
    position = position_of(Kind.TRACE, {partition: place}, newest_ms)
    assert read_position(position, MARK) == Position(Kind.TRACE, {partition: place}, newest_ms)


@given(st.lists(st.integers(0, MAX_ID), min_size=1, max_size=40), st.integers(0, 9999))
def test_a_position_of_before_records_were_named_says_its_offsets(offsets: list[int], partition: int) -> None:
    vector = read_position(former_position(Kind.VECTOR, MARK, offsets), MARK)
    assert vector == Position(Kind.VECTOR, dict(enumerate(map(Place, offsets))))
    trace = read_position(former_position(Kind.TRACE, MARK, [partition, offsets[0]]), MARK)
    assert trace == Position(Kind.TRACE, {partition: Place(offsets[0])})


@given(VECTORS, st.data())
def test_places_that_were_moved_on_make_the_position_of_the_new_ones(
    places: dict[int, Place], data: st.DataObject
) -> None:
    moved = Places(MARK, places, 5)
    expected, newest_ms = dict(places), 5
    for partition in data.draw(st.lists(st.sampled_from(sorted(places)), max_size=5)):
        at = expected[partition]
        match data.draw(st.sampled_from(("read", "markers", "put"))):
            case "read":
                record = LiveRecord(partition, data.draw(st.integers(0, MAX_ID - 1)), None, b"value", 2000)
                moved.read(record)
                expected[partition], newest_ms = Place(record.offset + 1, 1, short_digest(record)), 2000
            case "markers":
                passed = data.draw(st.integers(0, min(3, MAX_ID - at.offset)))
                moved.pass_markers(partition, at.offset + passed)
                expected[partition] = Place(at.offset + passed, at.back + passed if at.digest else 0, at.digest)
            case _:
                expected[partition] = data.draw(PLACES)
                moved.put(partition, expected[partition])
    assert read_position(moved.position(Kind.VECTOR, 0), MARK) == Position(Kind.VECTOR, expected, newest_ms)


def test_a_partition_that_is_added_has_its_place_behind_the_others() -> None:
    places = Places(MARK, {0: Place(5), 1: Place(6)})
    places.put(2, Place(7))
    assert read_position(places.position(Kind.VECTOR, 0), MARK).places == {0: Place(5), 1: Place(6), 2: Place(7)}


def test_a_position_of_very_many_partitions_still_fits_into_a_requests_head() -> None:
    place = Place(2**34, 1, b"name")
    for number in (MOST_NAMED, MOST_NAMED + 1):
        position = position_of(Kind.VECTOR, dict.fromkeys(range(number), place))
        assert len(SealedTexts(KEY).text("1", position)) < 60 << 10
        assert read_position(position, MARK).places[number - 1].offset == 2**34


@given(VECTORS, st.sampled_from(Kind), st.data())
def test_a_position_that_was_cut_short_is_refused(places: dict[int, Place], kind: Kind, data: st.DataObject) -> None:
    position = position_of(kind, places).rstrip(b"\0")
    with pytest.raises(PositionError):
        read_position(position[: data.draw(st.integers(0, len(position) - 1))], MARK)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: urlsafe_b64encode(raw).decode()))
def test_no_text_is_more_than_refused(text: str) -> None:
    is_plain_position(text, MARK)
    with pytest.raises(NotSealedHereError):
        SealedTexts(KEY).content("1", text)
    with suppress(PositionError):
        read_position(text.encode("utf-8", "surrogatepass"), MARK)
    with suppress(PositionError):
        read_position(bytes((len(text) % 5,)) + MARK + text.encode("utf-8", "surrogatepass"), MARK)


@given(st.lists(st.tuples(st.integers(1, 2**35 - 1), DIGESTS), min_size=4, max_size=4), TIMES)
def test_a_sealed_position_tells_nothing_of_the_offsets_of_others_not_even_by_its_length(
    places: list[tuple[int, bytes]], newest_ms: int
) -> None:
    """S17: positions named the next offset of every partition, so that each tenant saw the volume of all."""
    sealed = SealedTexts(KEY)
    named = {at: Place(offset, 1, digest) for at, (offset, digest) in enumerate(places)}
    positions = position_of(Kind.VECTOR, named, newest_ms), position_of(Kind.VECTOR, dict.fromkeys(range(4), Place(0)))
    texts = [sealed.text("1", position).decode() for position in positions]
    assert len(texts[0]) == len(texts[1])
    assert all(MARK not in urlsafe_b64decode(text + "==") for text in texts)
    assert not any(is_plain_position(text, MARK) for text in texts)
    assert read_position(sealed.content("1", texts[0]), MARK) == Position(Kind.VECTOR, named, newest_ms)
    for stranger, tenant in ((sealed, "2"), (SealedTexts(bytes(64)), "1")):
        with pytest.raises(NotSealedHereError):
            stranger.content(tenant, texts[0])


def test_the_key_of_positions_is_the_servers_or_that_of_all_static_keys() -> None:
    def key(secret: str, keys: str = "a=1,b=2") -> bytes:
        settings = Settings().model_copy(update={"server_secret": SecretStr(secret), "api_keys": SecretStr(keys)})
        return sealing_key(settings, "live positions")

    assert key("one secret of a server") == key("one secret of a server", "c=1")
    assert key("one secret of a server") != key("another secret of a server")
    assert key("") == key("", "b=2,a=1") != key("", "a=1,c=2")


def test_a_position_of_an_early_version_is_known_as_such() -> None:
    early = urlsafe_b64encode(former_position(Kind.VECTOR, MARK, [5, 300]).rstrip(b"\0")[:-1]).rstrip(b"=").decode()
    assert is_plain_position(early, MARK)
    assert not is_plain_position(early, mark_of("cluster", "made anew"))


@pytest.mark.parametrize("position", [former_position(Kind.VECTOR, MARK, [1]), position_of(Kind.VECTOR, {0: Place(1)})])
def test_a_position_of_another_log_is_refused_as_such(position: bytes) -> None:
    with pytest.raises(PositionError, match="another Kafka cluster"):
        read_position(position, mark_of("cluster", "made anew"))
