"""How a run stands, by what its summary says: the one rule, as a function and as the SQL of the view `traces`. Pure.

    1. an agent.error is the last event, and nothing is open    failed   last_event_failed
    2. the root ended in error, and nothing is open             failed   root_failed
    3. the root ended well, and nothing is open                 ok       root_ended
    4. something is open                                        running  open_steps
       and nothing has arrived for a while                      stalled  nothing_arrived
    5. nothing is open, and there is no root that has ended     ok       nothing_open

The root counts where it is a run of an agent, or a span: a tool call without a parent says nothing of the run.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

RunStatus = Literal["running", "ok", "failed", "stalled"]
Basis = Literal["last_event_failed", "root_failed", "root_ended", "open_steps", "nothing_arrived", "nothing_open"]
Outcome = Literal["success", "failure"]

DEFAULT_STALL_S = 300
ROOT_KINDS = ("agent", "span")


class Verdict(NamedTuple):
    """How the run stands, and what says so."""

    status: RunStatus
    basis: Basis

    @property
    def outcome(self) -> Outcome | None:
        """None while it is not known."""
        return "success" if self.status == "ok" else "failure" if self.status == "failed" else None

    def recovered_errors(self, error_count: int) -> int:
        """The errors that the run went on after: all of a run that is ok."""
        return error_count if self.status == "ok" else 0


def verdict(
    root_kind: str,
    root_status: str,
    open_count: int,
    last_failed: int,
    last_received_at_ms: int,
    now_ms: int,
    stall_ms: int,
) -> Verdict:
    """The first of the rules above that holds; 4. is looked at first, as the others hold only where nothing is open."""
    if open_count:
        if now_ms - last_received_at_ms > stall_ms:
            return Verdict("stalled", "nothing_arrived")
        return Verdict("running", "open_steps")
    if last_failed:
        return Verdict("failed", "last_event_failed")
    if root_kind in ROOT_KINDS and root_status == "error":
        return Verdict("failed", "root_failed")
    if root_kind in ROOT_KINDS and root_status == "ok":
        return Verdict("ok", "root_ended")
    return Verdict("ok", "nothing_open")


def status_sql(now: str, stall_ms: str) -> str:
    """The status over the columns of the view `traces`; `now` is a DateTime64(3), both are SQL."""
    stalled = f"if({now} - toIntervalMillisecond({stall_ms}) > last_received_at, 'stalled', 'running')"
    root_failed = "root_kind IN ('agent', 'span') AND root_status = 'error'"
    return f"multiIf(open_count > 0, {stalled}, last_failed = 1 OR ({root_failed}), 'failed', 'ok')"


VIEW_STATUS = status_sql("now64(3)", str(DEFAULT_STALL_S * 1000))
