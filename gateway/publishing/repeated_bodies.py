"""A body that is sent again because its first answer was 503, or did not come, is the same publish and not another one.

Some clients do so without a dedup key: axonpush 0.0.19 sends the same bytes up to three times more. So a body joins the
first publish of the same bytes by the same key

- while that is under way for LATE_S: both get one answer;
- for REMEMBERED_S after that was answered with 503 although Kafka may have its events, or may still come to have them:
  it waits until Kafka has said of each whether it has it, and publishes those alone that it has not. The answer is the
  one that the first would have got, with the same ids, traces and times.

A body that comes while no publish of it is late, or after it was acknowledged, is a publish of its own, however equal
it is. All of this is one gateway's, and in its memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from typing import NamedTuple

from axonstream.gateway.routing.request import Answer
from axonstream.kafka.errors import Fate, NotAcknowledgedError
from axonstream.process.loop_share import LoopShare
from axonstream.producers.batcher import LATE_S

REMEMBERED_S = 120.0
MOST_EVENTS = 100_000  # some 20 MB; of more, the publishes that are oldest are forgotten
_NOT_IN_TIME = "Kafka did not acknowledge the first publish of this body in time"
_LONG = 256 << 10  # bytes that take longer than a switch to a thread

Sender = tuple[object, ...]  # what must be equal beside the body: call, tenant, key, headers that have a say
_Key = tuple[Sender, bytes]


class Drawn(NamedTuple):
    """What the gateway chose for an event that has no dedup key."""

    event_id: int
    trace_id: str
    received_at: int


class Attempt:
    """One publish.

    Of the first publish of this body it has `first`, what was chosen for the events, and `stored`, those that Kafka
    has and when it took them, by their places in the body. Before it appends, it says what was chosen now (`drawn`),
    and what it sends.
    """

    first: Mapping[int, Drawn] = MappingProxyType({})
    stored: Mapping[int, int | None] = MappingProxyType({})
    drawn: Mapping[int, Drawn] = MappingProxyType({})
    sent: Sequence[int] = (0,)
    key: _Key | None = None
    ended = False
    _joined: asyncio.Future[Answer | None] | None = None

    def __init__(self, sender: Sender, body: bytes, began: float) -> None:
        self.sender = sender  # only these, because every publish pays for it
        self.body = body
        self.began = began

    async def answer(self) -> Answer:
        """The answer to it, when it has one. Raises NotAcknowledgedError when it ends without."""
        if self._joined is None:
            self._joined = asyncio.get_running_loop().create_future()
        answer = await asyncio.shield(self._joined)  # others wait for it, too
        if answer is None:
            raise NotAcknowledgedError(_NOT_IN_TIME)
        return answer

    def end(self, answer: Answer | None) -> None:
        """It has an answer, or ends without."""
        self.ended = True
        if self._joined is not None:
            self._joined.set_result(answer)


@dataclass(slots=True, eq=False)
class _Unknown:
    """A publish that was answered with 503, and Kafka may have its events."""

    key: _Key
    drawn: Mapping[int, Drawn]
    stored: Mapping[int, int | None]
    sent: Sequence[int]
    fate: Fate | None
    until: float = 0.0

    async def settle(self) -> None:
        """Waits until Kafka has answered for every event that was sent to it, and knows then which are `stored`."""
        if self.fate is not None:
            of_sent = {self.sent[index]: at_ms for index, at_ms in (await self.fate.stored()).items()}
            self.stored = {**self.stored, **of_sent}
            self.fate = None


class RepeatedBodies:
    """The publishes that another body may belong to. `clock` gives seconds; a body waits for the first at most
    `patience_s`.

    While all are acknowledged in time, a publish pays a look at the clock and a place in a dict.
    """

    def __init__(self, clock: Callable[[], float], patience_s: float) -> None:
        self._clock = clock
        self._patience_s = patience_s
        self._under_way: dict[Attempt, None] = {}  # oldest first, without those that are known to be late
        self._none_late_before = 0.0
        self._late: dict[_Key, Attempt] = {}
        self._unknown: dict[_Key, deque[_Unknown]] = {}
        self._by_age: dict[_Unknown, None] = {}  # oldest first
        self._events = 0
        self.joined = 0  # bodies that belonged to an earlier publish

    async def once(self, sender: Sender, body: bytes, publish: Callable[[Attempt], Awaitable[Answer]]) -> Answer:
        """What `publish` answers, or the answer to the late publish that this one repeats. Raises as `publish` does."""
        attempt = Attempt(sender, body, self._clock())
        unknown = None
        if self._unknown or self._late or self._one_is_late(attempt.began):
            await self._sort_out_late(attempt.began)
            attempt.key = await _key(attempt)
            if (unknown := self._claimed(attempt.key)) is None and (late := self._late.get(attempt.key)):
                self.joined += 1
                return await late.answer()
        self._under_way[attempt] = None
        answer: Answer | None = None
        try:
            if unknown is not None:
                self.joined += 1
                await self._settle(attempt, unknown)
            answer = await publish(attempt)
        except NotAcknowledgedError as error:
            if attempt.drawn and (attempt.stored or (error.fate is not None and error.fate.may_be_stored())):
                key = attempt.key or await _key(attempt)
                unknown = _Unknown(key, dict(attempt.drawn), attempt.stored, attempt.sent, error.fate)
            raise
        else:
            return answer
        finally:
            if unknown is not None and answer is None:
                self._remember(unknown)
            self._under_way.pop(attempt, None)
            if attempt.key is not None and self._late.get(attempt.key) is attempt:
                del self._late[attempt.key]
            attempt.end(answer)

    def _one_is_late(self, now: float) -> bool:
        if now < self._none_late_before:
            return False
        if not self._under_way:
            self._none_late_before = now + LATE_S
            return False
        self._none_late_before = next(iter(self._under_way)).began + LATE_S
        return self._none_late_before <= now

    async def _sort_out_late(self, now: float) -> None:
        share = LoopShare()
        while self._one_is_late(now):
            late = next(iter(self._under_way))
            del self._under_way[late]
            self._none_late_before = 0.0
            late.key = await _key(late)
            if not late.ended:
                self._late.setdefault(late.key, late)
            if share.is_over():
                await share.give_way()

    async def _settle(self, attempt: Attempt, unknown: _Unknown) -> None:
        """Tells `attempt` what is known of the first. Raises NotAcknowledgedError when Kafka does not say in time."""
        began = self._clock()
        try:
            async with asyncio.timeout(self._patience_s):
                await unknown.settle()
        except TimeoutError:
            raise NotAcknowledgedError(_NOT_IN_TIME) from None
        if not unknown.stored.keys() >= set(unknown.sent) and self._clock() - began > self._patience_s / 2:
            raise NotAcknowledgedError(_NOT_IN_TIME)  # there is no time left to publish the others
        attempt.first, attempt.stored = unknown.drawn, unknown.stored

    def _claimed(self, key: _Key) -> _Unknown | None:
        self._forget(self._clock(), MOST_EVENTS)
        if key not in self._unknown:
            return None
        unknown = self._unknown[key][0]
        self._let_go(unknown)
        return unknown

    def _remember(self, unknown: _Unknown) -> None:
        now = self._clock()
        self._forget(now, MOST_EVENTS - len(unknown.drawn))
        unknown.until = now + REMEMBERED_S
        self._unknown.setdefault(unknown.key, deque()).append(unknown)
        self._by_age[unknown] = None
        self._events += len(unknown.drawn)

    def _forget(self, now: float, most_events: int) -> None:
        """What is too old, and the oldest of what is too much."""
        while self._by_age:
            oldest = next(iter(self._by_age))
            if oldest.until > now and self._events <= most_events:
                return
            self._let_go(oldest)

    def _let_go(self, unknown: _Unknown) -> None:
        """Of one body, the oldest stands first."""
        of_body = self._unknown[unknown.key]
        of_body.popleft()
        if not of_body:
            del self._unknown[unknown.key]
        del self._by_age[unknown]
        self._events -= len(unknown.drawn)


async def _key(attempt: Attempt) -> _Key:
    """Its sender, and 128 bits of its body."""
    body = attempt.body
    digest = _digest(body) if len(body) < _LONG else await asyncio.to_thread(_digest, body)
    return attempt.sender, digest


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).digest()
