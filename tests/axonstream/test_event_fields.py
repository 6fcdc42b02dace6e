"""The table of event fields, and what follows it without being derived from it. Each failure names the field."""

from __future__ import annotations

import re
from typing import get_type_hints

from axonstream.contract.event import Event
from axonstream.event_contract import EventInput
from axonstream.event_fields import FIELDS, LISTED, OPTIONAL_IN_RECORD, SENT, EventAttributes, EventFields
from axonstream.gateway.routing.answers import EventAnswer, StoredEvent
from axonstream.results import Event as Result
from axonstream.sinks.shown_schema import SCHEMA

POSITIONAL = {"identifier", "payload", "channel_id"}  # of publish()
NOT_AS_ITSELF = {"tenant_id": "orgId", "received_at": "createdAt"}


def test_the_table_names_each_field_once() -> None:
    assert len({field.name for field in FIELDS}) == len(FIELDS)
    assert len({field.wire for field in FIELDS}) == len(FIELDS)


def test_what_publish_takes_by_name_is_what_a_sender_may_give() -> None:
    assert set(EventFields.__annotations__) ^ ({field.name for field in SENT} - POSITIONAL) == set()


def test_type_checkers_know_each_carried_field() -> None:
    assert set(EventAttributes.__annotations__) ^ {field.name for field in FIELDS if field.is_carried} == set()


def test_the_model_has_each_field_that_a_sender_may_give() -> None:
    assert list(EventInput.model_fields) == [field.name for field in SENT]
    assert {info.description for info in EventInput.model_fields.values()} == {field.said for field in SENT}


def test_a_record_has_each_field_and_the_times_stand_behind_each_other() -> None:
    """`event_line` cuts the two times out of the bytes, and relies on their places."""
    in_record = list(Event.__struct_encode_fields__)
    assert set(in_record) ^ {"v", *(field.name for field in FIELDS)} == set()
    head = in_record[: in_record.index(OPTIONAL_IN_RECORD[0].name)]
    assert head[-3:] == ["occurred_at", "received_at", "source"]
    required = {field.name for field in FIELDS if field.always}
    assert set(head) ^ {"v", *(required - {"payload"})} == set()
    assert in_record[-2:] == ["payload", "metadata"]


def test_rows_answers_and_results_have_each_listed_field() -> None:
    listed = {field.name for field in LISTED}
    assert set(StoredEvent._fields) ^ listed == set()
    answered = get_type_hints(EventAnswer)
    assert [field.name for field in FIELDS if NOT_AS_ITSELF.get(field.name, field.answered) not in answered] == []
    assert {field.shown for field in LISTED} - set(Result.model_fields) == {"received_at"}


def test_each_field_has_the_column_that_the_table_of_fields_says() -> None:
    shown = SCHEMA.read_text()
    for name in ("VIEW events", "TABLE events_log"):
        created = re.search(rf"^CREATE {name}\n\((.*?)^\)", shown, re.DOTALL | re.MULTILINE)
        assert created is not None
        wrong = [
            field.name
            for field in FIELDS
            if not re.search(rf"^    `{field.name}` {re.escape(field.column)}[ ,\n]", created[1], re.MULTILINE)
        ]
        assert wrong == [], name
