"""A dead letter as the topic of dead letters has it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import orjson

from axonstream.contract.record_validation import MAX_RECORD_BYTES
from axonstream.sinks.dead_letters.dead_letter import MAX_REASON_CHARACTERS, QUOTED_BYTES, DeadLetter

LETTER = DeadLetter("agent-events", 0, 7, b"tr_1", b"{", "not one JSON value", 1)
LARGEST = b"x" * QUOTED_BYTES


def test_small_parts_are_quoted_and_missing_ones_are_null() -> None:
    quoted = orjson.loads(LETTER.encoded())
    assert (quoted["key_b64"], quoted["value_b64"]) == (b64encode(b"tr_1").decode(), b64encode(b"{").decode())
    missing = orjson.loads(replace(LETTER, key=None, value=None).encoded())
    assert (missing["key_b64"], missing["value_b64"]) == (None, None)
    assert not {name for name in quoted.keys() | missing.keys() if "omitted" in name}


def test_a_part_above_the_limit_is_left_out_and_its_size_is_told() -> None:
    letter = replace(LETTER, key=LARGEST + b"x", value=LARGEST + b"xy")
    quoted = orjson.loads(letter.encoded())
    assert (quoted["key_b64"], quoted["key_omitted_bytes"]) == (None, QUOTED_BYTES + 1)
    assert (quoted["value_b64"], quoted["value_omitted_bytes"]) == (None, QUOTED_BYTES + 2)
    assert letter.record_key() is None


def test_the_largest_letter_fits_the_topic() -> None:
    widest = "\U000e0001" * MAX_REASON_CHARACTERS
    letter = replace(LETTER, key=LARGEST, value=LARGEST, reason=widest)
    assert len(letter.record_key() or b"") + len(letter.encoded()) < 4 * MAX_RECORD_BYTES - (64 << 10)
