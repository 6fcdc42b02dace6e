"""Events as the pairing of steps reads them, without Kafka."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import strategies as st

from axonstream.steps import NO_PRICES, Prices, Step, StepBook

MOST_USD = Decimal("999999.999999999999")
AGENTS, NAMES, SPANS = ("", "a", "b"), ("search", "ask"), ("", "s", "t", "u")
TYPES = (
    *("agent.start", "agent.end", "agent.tool_call.start", "agent.tool_call.end"),
    *("agent.llm.start", "agent.llm.end", "agent.error", "app.span", "custom"),
)


@dataclass
class GivenEvent:
    """One event; what a test does not say is missing."""

    event_type: str = "custom"
    identifier: str = "search"
    agent_id: str = "a"
    span_id: str = ""
    parent_span_id: str = ""
    occurred_at: int = 0
    event_id: int = 1
    received_at: int = 1000
    payload: bytes = b"{}"
    status: str = ""
    error_type: str = ""
    duration_ms: int | None = None
    session_id: str = ""
    user_id: str = ""
    environment: str = ""
    customer: str = ""
    workflow: str = ""
    service_name: str = ""
    release: str = ""
    model: str = ""
    provider: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: Decimal | None = None


def events() -> st.SearchStrategy[GivenEvent]:
    return st.builds(
        GivenEvent,
        event_type=st.sampled_from(TYPES),
        identifier=st.sampled_from(NAMES),
        agent_id=st.sampled_from(AGENTS),
        span_id=st.sampled_from(SPANS),
        parent_span_id=st.sampled_from(SPANS),
        occurred_at=st.integers(0, 9),
        payload=st.sampled_from([b"{}", b'{"message":"no"}', b'{"error":{"type":"T","message":"m"}}']),
        status=st.sampled_from(["", "", "ok", "error"]),
        error_type=st.sampled_from(["", "Timeout"]),
        duration_ms=st.none() | st.integers(0, 5),
        session_id=st.sampled_from(["", "one", "two"]),
        release=st.sampled_from(["", "1.0"]),
        model=st.sampled_from(["", "m-1", "m-2"]),
        provider=st.sampled_from(["", "p"]),
        input_tokens=st.none() | st.integers(0, 9),
        output_tokens=st.none() | st.integers(0, 9),
        cost_usd=st.none() | st.sampled_from([Decimal(0), Decimal("0.000000000001"), Decimal("1.5"), MOST_USD]),
    )


def folded(
    given: list[GivenEvent], prices: Prices = NO_PRICES, most: int = 256, book: StepBook | None = None
) -> tuple[StepBook, dict[int, Step]]:
    """The book after these events, whose offsets and ids count from 1, and every step as it changed last."""
    book = StepBook() if book is None else book
    steps: dict[int, Step] = {}
    for offset, event in enumerate(given, 1):
        event.event_id = offset
        steps |= {step.offset: step for step in book.fold(event, offset, prices, most)}
    return book, steps
