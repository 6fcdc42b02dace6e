"""What a state holds of a trace's steps comes back as it was, and stays small."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from axonstream.contract.prices import Priced
from axonstream.event_fields import FIELDS, MAX_ID, MAX_TIME_MS, Whole
from axonstream.steps import NO_PRICES, TEXTS, StepBook
from axonstream.stream_processors.packed_steps import NO_STEPS, pack_book, unpack_book
from kit.step_events import MOST_USD, GivenEvent, events, folded

_TOKENS = [field.kind for field in FIELDS if field.name.endswith("_tokens")]
[MOST_TOKENS] = {kind.most for kind in _TOKENS if isinstance(kind, Whole)}


def remembered(book: StepBook) -> StepBook:
    """Without what is only of the moment."""
    nothing = ("",) * len(TEXTS)
    return replace(
        book,
        open=[replace(step, version=-1, shown=nothing, packed=b"") for step in book.open],
        early=[replace(step, version=-1, shown=nothing, packed=b"") for step in book.early],
    )


@given(given_events=st.lists(events(), max_size=12), most=st.sampled_from([1, 256]))
def test_a_book_comes_back_as_it_was(given_events: list[GivenEvent], most: int) -> None:
    book, _ = folded(given_events, most=most)
    packed = pack_book(book)
    assert unpack_book(packed) == remembered(book)
    assert pack_book(unpack_book(packed)) == packed


@given(given_events=st.lists(events(), max_size=12), at=st.integers(0, 12))
def test_a_restart_in_between_changes_no_step(given_events: list[GivenEvent], at: int) -> None:
    _, whole = folded([replace(event) for event in given_events])
    before, after = given_events[:at], given_events[at:]
    book, steps = folded(before)
    book = unpack_book(pack_book(book))
    for offset, event in enumerate(after, len(before) + 1):
        event.event_id = offset
        steps |= {step.offset: step for step in book.fold(event, offset, NO_PRICES)}
    assert steps == whole


def test_a_trace_without_steps_takes_no_bytes() -> None:
    assert pack_book(folded([GivenEvent("custom"), GivenEvent("agent.handoff")])[0]) == NO_STEPS


class Dear:
    """The dearest price there may be, for the most tokens that an event may say."""

    def cost(
        self,
        model: str,
        at_ms: int,
        input_tokens: int | None,
        output_tokens: int | None,
        cached_input_tokens: int | None,
        reasoning_tokens: int | None,
    ) -> Priced:
        return Priced(10**12 * 10**6 * 10**6, "p" * 256)


def test_no_cost_and_no_number_of_tokens_is_too_much_for_a_state() -> None:
    """A tenant could else stop every processor with one event."""
    name = "n" * 256
    given_events = [
        replace(
            GivenEvent(kind, name, name, f"{name[:-6]}{at:06}", name, occurred_at=MAX_TIME_MS, model=f"m{at}"),
            input_tokens=MOST_TOKENS if kind.endswith("end") else None,
            output_tokens=MOST_TOKENS,
            cost_usd=MOST_USD if at % 2 else None,
            status="error",
            payload=b'{"message":"%b"}' % ("\U0001f600" * 2000).encode(),
        )
        for at in range(200)
        for kind in ("agent.llm.start", "agent.llm.end", "agent.llm.start", "agent.error")
    ]
    book, _ = folded(given_events, Dear())
    assert book.cost > 1 << 64
    assert unpack_book(pack_book(book)) == remembered(book)
    book.tokens[0] = MAX_ID
    folded([*llm_call(), *llm_call()], book=book)
    assert (book.tokens[0], book.exact) == (MAX_ID, False)
    assert unpack_book(pack_book(book)) == remembered(book)


def llm_call() -> list[GivenEvent]:
    return [GivenEvent("agent.llm.start", "x"), GivenEvent("agent.llm.end", "x", input_tokens=MOST_TOKENS)]
