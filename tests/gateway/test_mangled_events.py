"""An event of an array that lacks a bracket or a quote, or has one too many, takes no other event with it."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from axonstream.gateway.publishing.bulk_body import TooLargeError, split_events
from axonstream.gateway.publishing.sender_bytes import BodyError, read_event
from axonstream.gateway.publishing.value_end import _SEARCHED_BYTES_OF_A_STEP, MOST_STEPS, ValueEnds
from kit.json_texts import OBJECTS, TEXT, VALUES
from kit.offline_gateway import OfflineGateway

_BY_HAND = json.dumps({"identifier": "a", "payload": {"b": [1, "]"]}, "channel_id": 1}).encode()


@pytest.mark.parametrize(
    "bad",
    [
        b'{"identifier":"m","payload":{"a":[1,2},"channel_id":1}',
        b'{"identifier":"m","payload":{"a":[1,2]],"b":2},"channel_id":1}',
        b'{"identifier":"m","payload":{"a":{"b":1},"channel_id":1}',
        b'{"identifier":"m","payload":{"a":1}},"channel_id":1}',
        b'{"identifier":"m","payload":{"a":1},"channel_id":1}}',
        b'{"identifier":"m","payload":{"a":1},"channel_id":1}]',
        b'"identifier":"m","payload":{"a":1},"channel_id":1}',
        b'{"identifier":"m","payload":{"a":"1},"channel_id":1}',
        b'{"identifier":"m",payload":{"a":1},"channel_id":1}',
        b'{"identifier":"m","payload":{"a":"',
        b'{"identifier":"m","payload":[{"a":1},{"a":2}',
        b'{"identifier":"m","payload":{"a":[%b,%b}}' % (_BY_HAND, _BY_HAND),
        b'{"identifier":"m","payload":{"a":[1,%b]]}}' % _BY_HAND,
        b'{"identifier":"m","payload":{"a":[{"b":NaN},%b,%b]}}}' % (_BY_HAND, _BY_HAND),
        b'{"identifier":"m","payload":{"a":[1}],"b":[%b,%b,%b]},"channel_id":1}' % (_BY_HAND, _BY_HAND, _BY_HAND),
        b'{"identifier":"m","payload":{"a":[1},%b,%b]},"channel_id":1}' % (_BY_HAND, _BY_HAND),
        b'{"identifier":"m","channel_id":1,"payload":{"a":1}},"metadata":{}}',
        b'{"identifier":"m","payload":{"a":[1,%b,{"b":NaN}]},"channel_id":1' % _BY_HAND,
        b"}{",
        b"]",
        b'"',
        b'{"a"',
    ],
    ids=lambda body: repr(body[-16:]),
)
def test_a_bracket_or_quote_that_does_not_match_takes_no_other_event_with_it(bad: bytes) -> None:
    """One bracket that was missing in one event refused the whole array."""
    for events in ([_BY_HAND, bad, _BY_HAND], [bad, _BY_HAND, _BY_HAND], [_BY_HAND, bad], [bad], [bad, bad, _BY_HAND]):
        found = [one for one in split_events(b"[" + b" , ".join(events) + b"]", 10) if one is not None]
        assert [one for one in found if one == _BY_HAND] == [_BY_HAND] * events.count(_BY_HAND)
        assert all(_is_event(one) == (one == _BY_HAND) for one in found)


@st.composite
def _events(draw: st.DrawFn, payloads: st.SearchStrategy[str]) -> str:
    """An event, its members in any order; what it holds may look like events, too."""
    members = [f'"identifier": {json.dumps(draw(TEXT))}', f'"payload":{draw(payloads)}', '"channel_id":1']
    if draw(st.booleans()):
        members.append(f'"metadata" : {draw(OBJECTS)}')
    return "{" + ",".join(draw(st.permutations(members))) + "}"


_INNER = st.recursive(
    OBJECTS | VALUES,
    lambda inner: (
        _events(inner)
        | st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
        | inner.map(lambda value: f'{{"k":{value}}}')
    ),
    max_leaves=6,
)
_EVENTS = _events(_INNER.map(lambda value: f'{{"of":{value}}}'))


def _is_event(element: bytes) -> bool:
    try:
        fields = read_event(element).fields
    except BodyError:
        return False
    return {"identifier", "payload", "channel_id"} <= fields.keys()


@pytest.mark.slow
@given(
    before=st.lists(_EVENTS, max_size=3),
    mangled=_EVENTS,
    after=st.lists(_EVENTS, max_size=3),
    how=st.sampled_from(["lacks", "has too much", "has another"]),
    mark=st.sampled_from('"[]{}'),
    data=st.data(),
)
def test_one_bracket_or_quote_costs_its_own_event_alone(
    before: list[str], mangled: str, after: list[str], how: str, mark: str, data: st.DataObject
) -> None:
    """Every event around it is an element, and nothing is that was not sent as one."""
    places = [place for place, character in enumerate(mangled) if character in '"[]{}']
    place = data.draw(st.sampled_from(places))
    kept = mangled[place:] if how == "has too much" else mangled[place + 1 :]
    mangled = mangled[:place] + ("" if how == "lacks" else mark) + kept
    assume(mangled not in (*before, *after))
    sent = [one.encode() for one in (*before, mangled, *after)]
    found = [one for one in split_events(b"[" + b",".join(sent) + b"]", 1000) if one is not None]
    well = [one.encode() for one in (*before, *after)]
    assert [one for one in found if one in well] == well
    assert all(one in sent for one in found if _is_event(one))


def test_the_answer_names_the_mangled_event_by_its_index_and_the_others_are_stored(offline: OfflineGateway) -> None:
    mangled = b'{"identifier":"m","payload":{"a":[%b,%b},"channel_id":1}' % (_BY_HAND, _BY_HAND)
    body = b"[" + b",".join([_BY_HAND, mangled, _BY_HAND, b"{}", _BY_HAND]) + b"]"
    answer = offline.send("POST", "/events", content=body)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["accepted"], len(offline.log.records)) == (3, 3)
    assert [one["index"] for one in found["rejected"]] == [1, 3]
    assert found["rejected"][0]["message"].startswith("not valid JSON")


MANY = 12_000  # events of a list: more bytes than one event may have
_LIST = b",".join([_BY_HAND] * MANY)


@pytest.mark.parametrize(
    "large",
    [
        b'{"identifier":"m","payload":{"items":["note",%b,%b,%b,%b]},"channel_id":1}' % (_LIST, _LIST, _LIST, _LIST),
        b"[%b,%b,%b,%b,%b]" % (_LIST, _LIST, _LIST, _LIST, _LIST),
        b'{"identifier":"m","payload":{"items":["note",%b],"b":NaN},"channel_id":1}' % (_LIST + b"," + _LIST),
    ],
    ids=["longer than any element may be", "a list in the array", "malformed behind a long list"],
)
def test_no_list_within_an_event_is_taken_for_events_however_long_it_is(large: bytes) -> None:
    """Rows of its payload were stored as events when they had filled as many bytes as an event may have."""
    body = b"[%b,%b,%b]" % (_BY_HAND, large, _BY_HAND)
    found = [one for one in split_events(body, 50_000) if one is not None]
    assert (found[0], found[-1], len(found)) == (_BY_HAND, _BY_HAND, 3)


@pytest.mark.parametrize(
    "hostile",
    [
        b'{"a":[1,%b,' % _BY_HAND * 200 + b"a" * (8 << 20),
        b'{"a" ' + b'"' + b'\\"' * (1 << 20) + b'"',
        (b'{"a":NaN},"b":' + b"x" * 4000 + b",") * 2000,
    ],
    ids=["starts before a long tail", "a string of escapes", "members where elements should be"],
)
def test_no_body_makes_the_search_for_ends_long(hostile: bytes) -> None:
    """It ends, or is refused, after as many steps as a body has; what is searched between two counts, too."""
    spent: list[int] = []
    spend = ValueEnds.spend

    def counted(self: ValueEnds, steps: int) -> None:
        spent.append(steps)
        spend(self, steps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ValueEnds, "spend", counted)
        try:
            pieces = sum(1 for _ in split_events(b"[" + hostile + b"]", 50_000))
        except (BodyError, TooLargeError):
            pieces = 0
    assert sum(spent) >= len(hostile) // _SEARCHED_BYTES_OF_A_STEP or pieces
    assert sum(spent[:-1]) <= MOST_STEPS
