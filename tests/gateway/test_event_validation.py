"""A wrong field is named as it was sent, with what it must be."""

from __future__ import annotations

import pytest

from axonstream.event_fields import SENT
from axonstream.gateway.publishing.event_validation import InvalidEventError, validate_event

SPELLINGS = [(name, field.words) for field in SENT for name in dict.fromkeys((field.sent_as or field.wire, field.name))]


@pytest.mark.parametrize(("name", "words"), SPELLINGS, ids=[name for name, _ in SPELLINGS])
def test_a_wrong_field_is_named_in_the_spelling_of_its_sender(name: str, words: str) -> None:
    """Both spellings are taken; of one that has no words the gateway knew no answer but 500."""
    with pytest.raises(InvalidEventError) as refused:
        validate_event({"identifier": "a", "payload": {}, "channel_id": 1, name: [object()]}, None)
    assert f"{name} {words}" in refused.value.messages
