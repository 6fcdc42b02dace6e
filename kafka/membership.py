"""Membership in a consumer group under a name: renews the lease (I8), and notices another process of the same name.

Kafka gives a name (`group.instance.id`, KIP-345) to whoever joined last, and at once. aiokafka 0.14 sends heartbeats
and commits without the name, so the other one is told UNKNOWN_MEMBER_ID and not FENCED_INSTANCE_ID: it joins again,
which puts the first one out, and so on for as long as both live. But a member whose heartbeat was accepted within the
session is known, unless somebody took its place. The one that has come later ends; the other one joins again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, NoReturn

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import ProducerFenced, UnknownMemberIdError
from aiokafka.protocol.group import SyncGroupRequest

from axonstream.kafka.lease import Lease
from axonstream.process.boot_clock import boot_clock
from axonstream.process.errors import NameTakenError
from axonstream.process.fail_stop import EXIT_MISMATCH, FailStop, stop_process

log = logging.getLogger(__name__)

_FENCED_INSTANCE_ID = 82  # aiokafka has no name for it
_NOT_KNOWN = {UnknownMemberIdError.errno, _FENCED_INSTANCE_ID}
MOST_LOSSES = 3  # within as many sessions: who joins again cannot have the name for itself


def _end(error: NameTakenError) -> NoReturn:
    stop_process(error, EXIT_MISMATCH)


class Membership:
    """What a member knows of its place in the group; times are s of `boot_clock`."""

    def __init__(
        self,
        lease: Lease,
        session_timeout_s: float,
        named_by: str,
        *,
        clock: Callable[[], float] = boot_clock,
        end: Callable[[NameTakenError], None] = _end,
        on_rival: Callable[[], None] = lambda: None,
    ) -> None:
        """`named_by` is for the message: the setting and the name in it, empty for a member without a name.

        `on_rival` is called when another one may have this member's name, which it is about to take back.
        """
        self._lease = lease
        self._session_s = session_timeout_s
        self._named_by = named_by
        self._clock = clock
        self._end = end
        self._on_rival = on_rival
        self._since = self._accepted_at = float("-inf")
        self._losses: list[float] = []

    def accepted(self, sent_at: float) -> None:
        """The group knew this member when it answered what was sent then."""
        if self._clock() - self._accepted_at >= self._session_s:
            self._since = self._clock()
        self._accepted_at = max(self._accepted_at, sent_at)
        self._lease.renew(sent_at)

    def not_known(self) -> None:
        """The group does not know this member. Ends the process when another one has its name, and came first."""
        now = self._clock()
        if not self._named_by:
            return
        self._on_rival()
        if now - self._accepted_at >= self._session_s:
            return  # Kafka had given it up
        self._losses = [at for at in self._losses if now - at < MOST_LOSSES * self._session_s] + [now]
        if now - self._since < self._session_s or len(self._losses) >= MOST_LOSSES:
            self._end(self._taken())
        log.warning("another process runs under the same name, %s, or Kafka has lost its groups", self._named_by)

    def fenced(self) -> None:
        """The broker refuses what this member writes, because another one has taken its partitions over (I17).

        Whoever was refused ends. The one that came first is to be started again: it takes its name back.
        """
        now = self._clock()
        if not self._named_by or now - self._accepted_at >= self._session_s:
            return
        if now - self._since < self._session_s:
            self._end(self._taken())
        log.warning("%s", self._taken())

    def _taken(self) -> NameTakenError:
        return NameTakenError(self._named_by)


class StopOrNameTaken(FailStop):
    """As FailStop; a write that the broker refused as that of an earlier owner may be a matter of the name."""

    def __init__(self, membership: Membership) -> None:
        super().__init__()
        self._membership = membership

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and isinstance(error.__cause__ or error, ProducerFenced):
            self._membership.fenced()
        super().__exit__(kind, error, trace)


def watch_membership(consumer: AIOKafkaConsumer, membership: Membership) -> None:
    """Tell `membership` of each heartbeat and each join that the coordinator accepts, and of each refusal.

    Hooks three methods of aiokafka 0.14.0's coordinator; call it after the consumer was made to start.
    """
    coordinator: Any = consumer._coordinator
    heartbeat, rejoin, send = coordinator._do_heartbeat, coordinator._do_rejoin_group, coordinator._send_req

    async def do_heartbeat() -> bool:
        sent_at = boot_clock()
        accepted = await heartbeat()
        if accepted:
            membership.accepted(sent_at)
        return accepted

    async def do_rejoin_group(subscription: Any) -> bool:
        sent_at = boot_clock()
        joined = await rejoin(subscription)
        if joined:
            membership.accepted(sent_at)
        return joined

    async def send_req(request: Any) -> Any:
        member, sent_at = coordinator.member_id, boot_clock()
        answer = await send(request)
        # A join ends with what is done with the partitions. Another one may take the name before that has ended.
        if isinstance(request, SyncGroupRequest) and not answer.error_code:
            membership.accepted(sent_at)
        asked_as_member = member and member == coordinator.member_id  # between two memberships nobody is known
        if asked_as_member and any(code in _NOT_KNOWN for code in _error_codes(answer)):
            membership.not_known()
        return answer

    coordinator._do_heartbeat = do_heartbeat
    coordinator._do_rejoin_group = do_rejoin_group
    coordinator._send_req = send_req


def _error_codes(answer: Any) -> Iterator[int]:
    """Of an answer to a heartbeat, a join, a sync or a commit."""
    yield getattr(answer, "error_code", 0)
    for _, partitions in getattr(answer, "topics", ()):
        for partition in partitions:
            yield partition[-1]
