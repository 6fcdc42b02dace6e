"""Positions: exact round trips, and nothing that is no position of this log passes for one."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from axonstream.event_contract import MAX_ID
from gateway.live.position import (
    Kind,
    PositionError,
    Vector,
    beyond,
    is_plain_position,
    mark_of,
    read_position,
    trace_position,
    vector_position,
)
from gateway.sealed_texts import NotSealedHereError, SealedTexts, sealing_key
from producers.settings import Settings

KEY = bytes(range(64))
MARK = mark_of("cluster", "topic")
OFFSETS = st.lists(st.integers(0, MAX_ID), min_size=1, max_size=40)


@given(OFFSETS)
def test_a_vector_says_the_offset_of_every_partition(offsets: list[int]) -> None:
    assert read_position(vector_position(MARK, offsets), MARK) == (Kind.VECTOR, dict(enumerate(offsets)))


@given(st.integers(0, 9999), st.integers(0, MAX_ID))
def test_a_traces_position_says_its_partition_and_offset(partition: int, offset: int) -> None:
    assert read_position(trace_position(MARK, partition, offset), MARK) == (Kind.TRACE, {partition: offset})


@given(OFFSETS, st.data())
def test_a_vector_that_was_moved_on_is_the_vector_of_the_new_offsets(offsets: list[int], data: st.DataObject) -> None:
    vector = Vector(MARK, offsets)
    for partition in data.draw(st.lists(st.integers(0, len(offsets) - 1), max_size=5)):
        offsets[partition] = data.draw(st.integers(0, MAX_ID))
        vector.advance(partition, offsets[partition])
    assert vector.position() == vector_position(MARK, offsets)


@given(OFFSETS, st.data())
def test_a_position_that_was_cut_short_is_refused(offsets: list[int], data: st.DataObject) -> None:
    position = vector_position(MARK, offsets).rstrip(b"\0")
    with pytest.raises(PositionError):
        read_position(position[: data.draw(st.integers(0, len(position) - 1))], MARK)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: urlsafe_b64encode(raw).decode()))
def test_no_text_is_more_than_refused(text: str) -> None:
    is_plain_position(text, MARK)
    with pytest.raises(NotSealedHereError):
        SealedTexts(KEY).content("1", text)
    with suppress(PositionError):
        read_position(text.encode("utf-8", "surrogatepass"), MARK)


@given(st.lists(st.integers(0, 2**35 - 1), min_size=4, max_size=4))
def test_a_sealed_position_tells_nothing_of_the_offsets_of_others_not_even_by_its_length(offsets: list[int]) -> None:
    """S17: positions named the next offset of every partition, so that each tenant saw the volume of all."""
    sealed = SealedTexts(KEY)
    texts = [sealed.text("1", vector_position(MARK, numbers)).decode() for numbers in (offsets, [0] * 4)]
    assert len(texts[0]) == len(texts[1])
    assert all(MARK not in urlsafe_b64decode(text + "==") for text in texts)
    assert not any(is_plain_position(text, MARK) for text in texts)
    assert read_position(sealed.content("1", texts[0]), MARK) == (Kind.VECTOR, dict(enumerate(offsets)))
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
    early = urlsafe_b64encode(vector_position(MARK, [5, 300]).rstrip(b"\0")[:-1]).rstrip(b"=").decode()
    assert is_plain_position(early, MARK)
    assert not is_plain_position(early, mark_of("cluster", "made anew"))


def test_a_position_of_another_log_is_refused_as_such() -> None:
    with pytest.raises(PositionError, match="another Kafka cluster"):
        read_position(vector_position(mark_of("cluster", "made anew"), [1]), MARK)


def test_a_position_beyond_an_end_is_found() -> None:
    assert beyond({0: 5, 1: 5}, {0: 5, 1: 5}) is None
    assert beyond({0: 5, 1: 6}, {0: 5, 1: 5}) == 1
    assert beyond({2: 1}, {0: 5}) == 2
    assert beyond({0: 5, 2: 0}, {0: 5}) == 2
