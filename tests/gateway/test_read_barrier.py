"""A read that was released can see everything that was acknowledged before it asked (guarantee G4)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from axonstream.gateway.reading.read_barrier import ReadBarrier, WaitingRead

PARTITIONS = 3
_ONE = st.integers(0, PARTITIONS - 1)


@dataclass
class Answered:
    """What a leader knew when it answered, and the moment before it was asked."""

    end: int
    asked_at: int


class Barrier(RuleBasedStateMachine):
    """Publishing, the pipeline, reads and questions to the leaders, in any order; each partition has its own leader,
    whose answer may be arbitrarily late, or never come."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = count()
        self.barrier = ReadBarrier()
        self.ends = dict.fromkeys(range(PARTITIONS), 0)
        self.visible = dict.fromkeys(range(PARTITIONS), 0)
        self.owed: dict[WaitingRead, dict[int, int]] = {}
        self.on_their_way: dict[int, Answered] = {}

    @rule(partition=_ONE)
    def acknowledge(self, partition: int) -> None:
        self.ends[partition] += 1

    @rule(partition=_ONE)
    def store(self, partition: int) -> None:
        self.visible[partition] = min(self.visible[partition] + 1, self.ends[partition])

    @rule(partition=st.none() | _ONE)
    def ask(self, partition: int | None) -> None:
        wanted = range(PARTITIONS) if partition is None else [partition]
        read = self.barrier.ask(wanted, next(self.clock), is_patient=partition is not None)
        self.owed[read] = {p: self.ends[p] for p in wanted}

    @rule(partition=_ONE)
    def send_question(self, partition: int) -> None:
        self.on_their_way[partition] = Answered(self.ends[partition], next(self.clock))

    @rule(partitions=st.sets(_ONE))
    def receive_answers(self, partitions: set[int]) -> None:
        told = {p: self.on_their_way.pop(p) for p in partitions if p in self.on_their_way}
        self.barrier.tell(told, next(self.clock))

    @rule()
    def release(self) -> None:
        for read in self.barrier.release(self.visible):
            assert all(self.visible[p] >= end for p, end in self.owed.pop(read).items())

    @rule(silent=st.sets(_ONE))
    def give_up_what_is_silent(self, silent: set[int]) -> None:
        for read in self.barrier.give_up(self.visible, silent):
            owed = self.owed.pop(read)
            assert len(owed) > 1, "a read of one trace waits for its partition"
            assert read.untold <= silent
            assert all(self.visible[p] >= end for p, end in owed.items() if p not in read.untold)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.owed:
            read = data.draw(st.sampled_from(list(self.owed)))
            self.barrier.forget(read)
            del self.owed[read]

    @invariant()
    def only_those_who_wait_are_held(self) -> None:
        assert len(self.barrier) == len(self.owed)

    def teardown(self) -> None:
        """Once everything is stored and every leader has answered, nobody waits."""
        asked_at = next(self.clock)
        self.barrier.tell({p: Answered(end, asked_at) for p, end in self.ends.items()}, asked_at)
        assert set(self.barrier.release(self.ends)) == set(self.owed)


TestReadBarrier = Barrier.TestCase
