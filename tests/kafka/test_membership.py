"""Of two processes with one name, the one that came later ends; whoever Kafka gave up by itself does not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from aiokafka.errors import UnknownMemberIdError
from aiokafka.protocol.group import SyncGroupRequest

from axonstream.kafka.lease import Lease
from axonstream.kafka.membership import MOST_LOSSES, Membership, watch_membership
from axonstream.process import fail_stop
from axonstream.process.boot_clock import boot_clock
from axonstream.process.errors import NameTakenError
from axonstream.sinks import errors

SESSION_S = 10.0


class Member:
    """A membership by a clock of its own, and the errors that would have ended it."""

    def __init__(self, named_by: str = "AXONSTREAM_SINK_INSTANCE=sink-0") -> None:
        self.now = 100.0
        self.ended: list[NameTakenError] = []
        self.rivals = 0
        lease = Lease(SESSION_S, clock=lambda: self.now)
        self.membership = Membership(
            lease, SESSION_S, named_by, clock=lambda: self.now, end=self.ended.append, on_rival=self.has_rival
        )

    def has_rival(self) -> None:
        self.rivals += 1

    def beats_for(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now += 1
            self.membership.accepted(self.now)


def test_one_that_came_into_a_name_that_is_taken_ends_and_says_which() -> None:
    member = Member()
    member.beats_for(2)
    member.membership.not_known()
    assert "AXONSTREAM_SINK_INSTANCE=sink-0" in str(member.ended[0])


def test_one_whose_name_is_taken_joins_again() -> None:
    member = Member()
    member.beats_for(SESSION_S + 1)
    member.membership.not_known()
    assert member.rivals == 1, "it may not write before the other one has ended"
    member.beats_for(2)
    assert not member.ended
    assert member.membership._lease.held()


def test_two_that_take_each_others_place_again_and_again_end() -> None:
    member = Member()
    member.beats_for(SESSION_S + 1)
    for _ in range(MOST_LOSSES):
        member.beats_for(1)
        member.membership.not_known()
    assert member.ended


def test_one_that_was_away_for_longer_than_its_session_was_given_up_by_kafka() -> None:
    member = Member()
    member.beats_for(2)
    member.now += SESSION_S
    member.membership.not_known()
    assert member.rivals == 1, "the other one may live by now"
    member.beats_for(2)
    assert not member.ended
    member.membership.not_known()
    assert member.ended, "it has come back later than the one that has its name now"


def test_one_whose_writes_are_refused_within_its_session_has_lost_its_name() -> None:
    member = Member()
    member.beats_for(2)
    member.membership.fenced()
    assert "AXONSTREAM_SINK_INSTANCE=sink-0" in str(member.ended[0])
    first = Member()
    first.beats_for(2 * SESSION_S)
    first.membership.fenced()
    assert not first.ended, "it is started again, and takes its name back"
    zombie = Member()
    zombie.beats_for(2)
    zombie.now += SESSION_S
    zombie.membership.fenced()
    assert not zombie.ended, "Kafka gave its partitions to another member"


def test_a_member_without_a_name_cannot_share_it() -> None:
    member = Member(named_by="")
    member.beats_for(2)
    member.membership.not_known()
    assert (member.ended, member.rivals) == ([], 0)


def test_the_answers_of_a_coordinator_are_watched() -> None:
    member = Member()
    code = UnknownMemberIdError.errno
    answers = [
        SimpleNamespace(error_code=0),
        SimpleNamespace(topics=[("agent-events", [(0, 0), (1, code)])]),
        SimpleNamespace(error_code=code),
        SimpleNamespace(error_code=code),
    ]

    async def answer(_: Any) -> Any:
        return answers.pop(0)

    async def accept(*_: Any) -> bool:
        return True

    async def scenario() -> None:
        coordinator = SimpleNamespace(
            member_id="sink-0-id", _send_req=answer, _do_heartbeat=accept, _do_rejoin_group=accept
        )
        watch_membership(cast("Any", SimpleNamespace(_coordinator=coordinator)), member.membership)
        member.membership._accepted_at = member.membership._since = member.now
        await coordinator._send_req(None)
        assert not member.ended
        for expected in (1, 2):
            await coordinator._send_req(None)
            assert len(member.ended) == expected
        coordinator.member_id = ""
        await coordinator._send_req(None)
        assert len(member.ended) == 2, "who is no member at the moment is not known"

    asyncio.run(scenario())


def test_one_whose_name_is_taken_before_its_join_has_ended_ends() -> None:
    """Its partitions were being taken over: it was no member to itself yet, hung there, and never said why."""
    member = Member()
    codes = [0, UnknownMemberIdError.errno]

    async def answer(_: Any) -> Any:
        return SimpleNamespace(error_code=codes.pop(0))

    async def scenario() -> None:
        coordinator = SimpleNamespace(
            member_id="sink-0-id", _send_req=answer, _do_heartbeat=answer, _do_rejoin_group=answer
        )
        member.now = boot_clock()
        watch_membership(cast("Any", SimpleNamespace(_coordinator=coordinator)), member.membership)
        await coordinator._send_req(SyncGroupRequest("group", 1, "sink-0-id", "sink-0", []))
        assert not member.ended
        await coordinator._send_req(None)  # the first heartbeat
        assert member.ended

    asyncio.run(scenario())


def test_the_supervisor_knows_the_exit_code() -> None:
    assert errors.EXIT_MISMATCH == fail_stop.EXIT_MISMATCH == 78
