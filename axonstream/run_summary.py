"""What a trace's summary says of its run and steps, beside the counts: the fields of its record, and their columns.

A field that has its default is in no record, so a trace without steps costs nothing more, and a record of an earlier
version is one without steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from axonstream.steps import (
    ERROR,
    KINDS,
    MOST_OPEN,
    NO_PRICES,
    STATUSES,
    TEXTS,
    TOKENS,
    UNKNOWN,
    Prices,
    Status,
    Step,
    StepBook,
    StepEvent,
    usd,
)
from axonstream.unix_ms import iso_milliseconds
from axonstream.verdict import Verdict

MOST_SHOWN = 20  # open steps that a summary names; `open_count` counts all

# Name -> ClickHouse type and the default, in the order of the columns.
RUN_FIELDS: Mapping[str, tuple[str, Any]] = {
    "root_kind": ("LowCardinality(String)", ""),
    "root_name": ("String CODEC(ZSTD(1))", ""),
    "root_status": ("LowCardinality(String)", ""),
    "last_failed": ("UInt8", 0),
    "open_count": ("UInt32", 0),
    "open_steps": ("String CODEC(ZSTD(1))", []),
    "llm_call_count": ("UInt64", 0),
    "tool_error_count": ("UInt64", 0),
    **dict.fromkeys(TOKENS, ("UInt64", 0)),
    "calls_with_tokens": ("UInt64", 0),
    "cost_usd": ("Decimal(38, 12)", "0"),
    "priced_calls": ("UInt64", 0),
    "unpriced_calls": ("UInt64", 0),
    "slowest_kind": ("LowCardinality(String)", ""),
    "slowest_name": ("String CODEC(ZSTD(1))", ""),
    "slowest_agent_id": ("LowCardinality(String)", ""),
    "slowest_step": ("Int64", -1),
    "slowest_ms": ("UInt64", 0),
    "session_id": ("String CODEC(ZSTD(1))", ""),
    "user_id": ("String CODEC(ZSTD(1))", ""),
    "environment": ("LowCardinality(String)", ""),
    "customer": ("LowCardinality(String)", ""),
    "workflow": ("LowCardinality(String)", ""),
    "service_name": ("LowCardinality(String)", ""),
    "release": ("LowCardinality(String)", ""),
    "models": ("Array(String) CODEC(ZSTD(1))", []),
    "providers": ("Array(String) CODEC(ZSTD(1))", []),
    "first_error_type": ("LowCardinality(String)", ""),
    "first_error_input_event_id": ("UInt64", 0),
}
_RUN_TEXTS = [(at, name) for at, name in enumerate(TEXTS) if name in RUN_FIELDS]


def run_fields(
    book: StepBook, *, last_failed: bool, has_errors: bool = False, error_type: str = "", input_event_id: int = 0
) -> dict[str, Any]:
    """The fields that have not their default; `last_failed` also where there are errors, so that the summary of a trace
    that may have steps says something of its run.

    `open_steps` is a JSON array of [kind, name, agent, began at (ms), step], the oldest first.
    """
    said: dict[str, Any] = {}
    if (root := book.root) is not None:
        said |= {"root_kind": KINDS[root.kind], "root_name": root.name, "root_status": STATUSES[Status(root.status)]}
    if last_failed or has_errors:
        said["last_failed"] = int(last_failed)
    if opened := book.open_steps():
        said["open_count"] = len(opened)
        said["open_steps"] = [
            [KINDS[step.kind], step.name, step.agent_id, step.started_at, step.offset] for step in opened[:MOST_SHOWN]
        ]
    numbers = {
        "llm_call_count": book.llm_calls,
        "tool_error_count": book.tool_errors,
        **dict(zip(TOKENS, book.tokens, strict=True)),
        "calls_with_tokens": book.calls_with_tokens,
        "priced_calls": book.priced_calls,
        "unpriced_calls": book.unpriced_calls,
    }
    said |= {name: number for name, number in numbers.items() if number}
    if book.cost:
        said["cost_usd"] = usd(book.cost)
    if (slowest := book.slowest) is not None:
        said |= {
            "slowest_kind": KINDS[slowest.kind],
            "slowest_name": slowest.name,
            "slowest_agent_id": slowest.agent_id,
            "slowest_step": slowest.offset,
            "slowest_ms": slowest.duration_ms,
        }
    said |= {name: found[2] for at, name in _RUN_TEXTS if (found := book.known.get(at)) is not None}
    if book.models:
        said["models"] = book.models
    if book.providers:
        said["providers"] = book.providers
    if error_type:
        said["first_error_type"] = error_type
    if input_event_id:
        said["first_error_input_event_id"] = input_event_id
    return said


class RunFold:
    """What a summary says of a run, from all its events at once: for whoever counts again. Events come in the order of
    arrival, repeats left out.
    """

    def __init__(self) -> None:
        self.book = StepBook()
        self._last_at = self._first_error_at = UNKNOWN
        self._last_failed = False
        self._error_type, self._input_event_id = "", 0

    def fold(self, event: StepEvent, offset: int, prices: Prices = NO_PRICES, most: int = MOST_OPEN) -> Sequence[Step]:
        """Take one event; the steps that it changed."""
        failed, at = event.event_type == ERROR, event.occurred_at
        if failed and (self._first_error_at < 0 or at < self._first_error_at):
            marked = self.book.marked_by(event)
            self._first_error_at, self._error_type = at, event.error_type
            self._input_event_id = 0 if marked is None else marked.start_event_id
        if at >= self._last_at:
            self._last_at, self._last_failed = at, failed
        return self.book.fold(event, offset, prices, most)

    def fields(self) -> dict[str, Any]:
        """As `run_fields`."""
        return run_fields(
            self.book,
            last_failed=self._last_failed,
            has_errors=self._first_error_at >= 0,
            error_type=self._error_type,
            input_event_id=self._input_event_id,
        )


def run_answer(said: Mapping[str, Any], stand: Verdict, error_count: int) -> dict[str, Any]:
    """The fields of a trace's answer that are of its run, from the fields of its summary; null where nobody knows.

    Without `costUsd`, which is a number with the digits of `costUsdText`.
    """
    told: dict[str, Any] = {name: said.get(name, default) for name, (_, default) in RUN_FIELDS.items()}
    has_tokens = told["calls_with_tokens"] > 0
    has_cost = told["priced_calls"] > 0
    slowest = told["slowest_step"] is not None and told["slowest_step"] >= 0
    return {
        "status": stand.status,
        "statusBasis": stand.basis,
        "outcome": stand.outcome,
        "recoveredErrors": stand.recovered_errors(error_count),
        "firstErrorType": told["first_error_type"] or None,
        "rootSpanName": told["root_name"] or None,
        "serviceName": told["service_name"] or None,
        "sessionId": told["session_id"] or None,
        "userId": told["user_id"] or None,
        "customer": told["customer"] or None,
        "release": told["release"] or None,
        "workflow": told["workflow"] or None,
        "models": told["models"] or None,
        "providers": told["providers"] or None,
        "totalTokens": told["input_tokens"] + told["output_tokens"] if has_tokens else None,
        "inputTokens": told["input_tokens"] if has_tokens else None,
        "outputTokens": told["output_tokens"] if has_tokens else None,
        "cachedInputTokens": told["cached_input_tokens"] if has_tokens else None,
        "reasoningTokens": told["reasoning_tokens"] if has_tokens else None,
        "costUsdText": str(told["cost_usd"]) if has_cost else None,
        "unpricedCalls": told["unpriced_calls"],
        "llmCallCount": told["llm_call_count"],
        "toolErrorCount": told["tool_error_count"],
        "openStepCount": told["open_count"],
        "openSteps": [
            {"kind": kind, "name": name, "agentId": agent or None, "since": iso_milliseconds(since), "step": step}
            for kind, name, agent, since, step in told["open_steps"]
        ],
        "slowestStep": {
            "kind": told["slowest_kind"],
            "name": told["slowest_name"],
            "agentId": told["slowest_agent_id"] or None,
            "durationMs": told["slowest_ms"],
            "step": told["slowest_step"],
        }
        if slowest
        else None,
    }
