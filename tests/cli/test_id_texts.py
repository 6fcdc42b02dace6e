"""Ids of 19 digits in JSON that the command line prints, for readers to which numbers are doubles."""

from __future__ import annotations

import orjson

from axonstream.cli.id_texts import rows_as_objects, with_id_texts

ID = 3765978677284868246


def test_each_id_of_a_document_has_its_text_and_what_senders_wrote_is_left_alone() -> None:
    document = {"eventId": ID, "id": 7, "spanId": "s", "count": 1, "payload": {"id": ID}, "rows": [{"channelId": 2}]}
    expected = document | {"eventIdText": str(ID), "idText": "7"}
    assert with_id_texts(document) == expected | {"rows": [{"channelId": 2, "channelIdText": "2"}]}


def test_rows_are_objects_with_the_text_of_their_ids_and_values_as_they_came() -> None:
    lines = [
        b'["event_id","count()","x","channel_id","channel_id_text","n_id"]',
        b'["UInt64","UInt64","Float64","Nullable(UInt64)","String","UInt8"]',
        b'[%d, 18446744073709551615, 1.0, null, "own", 1]' % ID,
        b'[1, 2, 1e3, 5, "own", 2]',
    ]
    text = rows_as_objects(b"\n".join([*lines, b""]))
    assert b'"x":1e3' in text
    assert b'"x":1.0' in text
    first, second = orjson.loads(text)
    assert first == {
        "event_id": ID,
        "event_id_text": str(ID),
        "count()": 18446744073709551615,
        "x": 1.0,
        "channel_id": None,
        "channel_id_text": "own",
        "n_id": 1,
    }
    assert second["event_id_text"] == "1"
    assert orjson.loads(rows_as_objects(b'["event_id"]\n["UInt64"]\n')) == []
