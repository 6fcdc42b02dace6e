"""Whether to ask again, and after how long: full jitter, within bounds.

Asking again is harmless: every event carries a dedup key, and reads change nothing.
Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from axonstream.answers import Answer
from axonstream.errors import APIConnectionError

FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 8.0
TOTAL_SECONDS = 60.0  # no attempt starts later than this after the first


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds: at most `max_retries` more attempts, none that would start later than TOTAL_SECONDS after the first.

    `jitter()` gives a number from 0 up to 1; `clock()` gives seconds that never go back.
    """

    max_retries: int
    jitter: Callable[[], float]
    clock: Callable[[], float]


class Retries:
    """The retries of one call. Not shared between calls."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._started = policy.clock()
        self.attempts = 0

    def wait_after(self, outcome: Answer | APIConnectionError) -> float | None:
        """Seconds to wait before the next attempt; None when `outcome` is final."""
        self.attempts += 1
        if not _worth_a_retry(outcome) or self.attempts > self._policy.max_retries:
            return None
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(self.attempts - 1, 30))
        wait = longest * self._policy.jitter()
        if isinstance(outcome, Answer) and outcome.retry_after is not None:
            wait += outcome.retry_after  # never earlier than the server asked for, and not all at once
        elapsed = self._policy.clock() - self._started
        return wait if elapsed + wait <= TOTAL_SECONDS else None


def _worth_a_retry(outcome: Answer | APIConnectionError) -> bool:
    return isinstance(outcome, APIConnectionError) or outcome.is_passing
