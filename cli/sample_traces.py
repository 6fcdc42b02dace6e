"""A small data set with fixed times, which the queries of docs/sql.md are shown and tested on.

Five runs of a support agent on 2026-01-31, in the environment `docs`. Every event has a dedup key, so that
publishing the samples again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from axonstream.event_contract import EventInput, EventType

ENVIRONMENT = "docs"

_NOON = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp() * 1000)
_MINUTE = 60_000

START, END = EventType.AGENT_START, EventType.AGENT_END
CALL, DONE = EventType.AGENT_TOOL_CALL_START, EventType.AGENT_TOOL_CALL_END
HANDOFF, ERROR = EventType.AGENT_HANDOFF, EventType.AGENT_ERROR

# (ms since the run began, agent, event type, identifier, span, parent span, payload)
_Row = tuple[int, str, EventType, str, str, str, Mapping[str, Any]]

# Nothing fails. An end has a span of its own, below the start's.
_ANSWERED: list[_Row] = [
    (0, "triage", START, "ticket_1", "0001", "", {}),
    (200, "triage", CALL, "search_docs", "0002", "0001", {"query": "reset password"}),
    (900, "triage", DONE, "search_docs", "0003", "0002", {"results": 4}),
    (1000, "triage", CALL, "search_docs", "0004", "0001", {"query": "password policy"}),
    (1500, "triage", DONE, "search_docs", "0005", "0004", {"results": 2}),
    (1700, "triage", END, "ticket_1", "0006", "0001", {}),
]

# Fails after a handoff. Both services count their spans from 0001; an end shares the span of its start.
_REFUND_FAILED: list[_Row] = [
    (0, "triage", START, "ticket_2", "0001", "", {}),
    (150, "triage", HANDOFF, "to_billing", "0002", "0001", {"to": "billing"}),
    (300, "billing", CALL, "load_invoice", "0001", "", {"invoice": 71}),
    (1500, "billing", DONE, "load_invoice", "0001", "", {"found": True}),
    (1600, "billing", CALL, "refund", "0002", "", {"amount": 20}),
    (4600, "billing", ERROR, "refund", "0003", "0002", {"error": "payment service timed out"}),
    (5000, "triage", END, "ticket_2", "0003", "0001", {}),
]

# The same failure an hour later, and a second error that follows from it.
_REFUND_FAILED_AGAIN: list[_Row] = [
    (0, "triage", START, "ticket_3", "0001", "", {}),
    (100, "triage", HANDOFF, "to_billing", "0002", "0001", {"to": "billing"}),
    (250, "billing", CALL, "load_invoice", "0001", "", {"invoice": 72}),
    (650, "billing", DONE, "load_invoice", "0001", "", {"found": True}),
    (700, "billing", CALL, "refund", "0002", "", {"amount": 35}),
    (3700, "billing", ERROR, "refund", "0003", "0002", {"error": "payment service timed out"}),
    (3900, "triage", ERROR, "ticket_3", "0003", "0001", {"error": "billing gave up"}),
    (4000, "triage", END, "ticket_3", "0004", "0001", {}),
]

# Fails before it hands over, and is put right.
_SEARCH_FAILED: list[_Row] = [
    (0, "triage", START, "ticket_4", "0001", "", {}),
    (100, "triage", CALL, "search_docs", "0002", "0001", {"query": "invoice"}),
    (400, "triage", ERROR, "search_docs", "0003", "0002", {"error": "index is offline"}),
    (600, "triage", CALL, "search_docs", "0004", "0001", {"query": "invoice"}),
    (1500, "triage", DONE, "search_docs", "0005", "0004", {"results": 1}),
    (1600, "triage", HANDOFF, "to_billing", "0006", "0001", {"to": "billing"}),
    (1800, "billing", CALL, "load_invoice", "0001", "", {"invoice": 73}),
    (2600, "billing", DONE, "load_invoice", "0001", "", {"found": True}),
    (2900, "triage", END, "ticket_4", "0007", "0001", {}),
]

# Never ended: the tool was called and nothing came after it. No spans: start and end pair by their identifier.
_HUNG: list[_Row] = [
    (0, "triage", START, "ticket_5", "", "", {}),
    (100, "triage", CALL, "search_docs", "", "", {"query": "export data"}),
    (800, "triage", DONE, "search_docs", "", "", {"results": 3}),
    (900, "triage", CALL, "export", "", "", {"rows": 120000}),
]

_RUNS: list[tuple[str, int, list[_Row]]] = [
    ("tr_docs_1", 0, _ANSWERED),
    ("tr_docs_2", 20 * _MINUTE, _REFUND_FAILED),
    ("tr_docs_3", 75 * _MINUTE, _REFUND_FAILED_AGAIN),
    ("tr_docs_4", 90 * _MINUTE, _SEARCH_FAILED),
    ("tr_docs_5", 100 * _MINUTE, _HUNG),
]


def sample_events() -> list[EventInput]:
    """The samples, by trace and time; the same on every call."""
    return [
        EventInput(
            identifier=identifier,
            payload=dict(payload),
            channel_id=1 if agent == "triage" else 2,
            agent_id=agent,
            trace_id=trace_id,
            span_id=f"sp_{span}" if span else None,
            parent_event_id=None,
            parent_span_id=f"sp_{parent}" if parent else None,
            event_type=event_type,
            dedup_key=f"{trace_id}-{at}",
            environment=ENVIRONMENT,
            occurred_at=_NOON + began + at,
        )
        for trace_id, began, rows in _RUNS
        for at, agent, event_type, identifier, span, parent, payload in rows
    ]
