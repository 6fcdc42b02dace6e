"""A commit is compared with the log when another leader answers, and not at every question."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiokafka import TopicPartition

from axonstream.kafka.leader_watch import Leader
from axonstream.kafka.log_trust import LogTrust
from axonstream.kafka.record_identity import NO_EPOCH, Marks, RecordMark, Standing

TP = TopicPartition("agent-events", 0)
ONE, OTHER = object(), object()  # connections


class Log:
    """Which marks stand, and how often somebody looked."""

    def __init__(self) -> None:
        self.gone: set[RecordMark] = set()
        self.looks = 0

    async def compare(self, marks: Marks) -> Mapping[tuple[TopicPartition, RecordMark], Standing]:
        self.looks += 1
        return {
            (tp, mark): Standing.OTHER if mark in self.gone else Standing.SAME
            for tp, some in marks.items()
            for mark in some
        }


def asked(trust: LogTrust, leader: Leader, *marks: RecordMark) -> bool:
    """Whether the marks still stand."""
    return not asyncio.run(trust.lost({TP: leader}, {TP: list(marks)}))


def test_as_long_as_one_leader_answers_on_one_connection_it_is_asked_once() -> None:
    log = Log()
    trust, leader = LogTrust(log.compare), Leader(5, ONE)
    for offset in range(10):
        assert asked(trust, leader, RecordMark(offset, "d", 5))
    assert log.looks == 1


def test_a_commit_that_was_made_before_a_leader_is_compared_with_its_log() -> None:
    log = Log()
    trust, lost = LogTrust(log.compare), RecordMark(7, "lost", 5)
    assert asked(trust, Leader(5, ONE), lost)
    log.gone.add(lost)
    assert not asked(trust, Leader(6, ONE), lost), "another leader"
    assert asked(trust, Leader(6, ONE), RecordMark(8, "new", 6))
    assert not asked(trust, Leader(6, ONE), lost, RecordMark(8, "new", 6)), "the other one of two commits"


def test_a_broker_that_was_started_again_is_another_even_with_the_same_epoch() -> None:
    log = Log()
    trust, lost = LogTrust(log.compare), RecordMark(7, "lost", 5)
    assert asked(trust, Leader(5, ONE), lost)
    log.gone.add(lost)
    assert not asked(trust, Leader(5, OTHER), lost)


def test_a_commit_of_an_older_leader_that_comes_late_is_compared() -> None:
    log = Log()
    trust, late = LogTrust(log.compare), RecordMark(9, "late", 5)
    assert asked(trust, Leader(6, ONE), RecordMark(4, "d", 5))
    log.gone.add(late)
    assert not asked(trust, Leader(6, ONE), late)
    unknown = RecordMark(9, "who knows", NO_EPOCH)
    log.gone.add(unknown)
    assert not asked(trust, Leader(6, ONE), unknown)
