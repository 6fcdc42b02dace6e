"""A read that was released can see everything that was acknowledged before it asked (guarantee G4)."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.reading.read_barrier import ReadBarrier, WaitingRead

PARTITIONS = 3
_ONE = st.integers(0, PARTITIONS - 1)


class Barrier(RuleBasedStateMachine):
    """Publishing, the pipeline, reads and the poller's two questions, in any order; answers may be arbitrarily late."""

    def __init__(self) -> None:
        super().__init__()
        self.barrier = ReadBarrier()
        self.ends = dict.fromkeys(range(PARTITIONS), 0)
        self.visible = dict.fromkeys(range(PARTITIONS), 0)
        self.owed: dict[WaitingRead, dict[int, int]] = {}
        self.asked: list[WaitingRead] | None = None
        self.ends_on_their_way: dict[int, int] = {}

    @rule(partition=_ONE)
    def acknowledge(self, partition: int) -> None:
        self.ends[partition] += 1

    @rule(partition=_ONE)
    def store(self, partition: int) -> None:
        self.visible[partition] = min(self.visible[partition] + 1, self.ends[partition])

    @rule(partition=st.none() | _ONE)
    def ask(self, partition: int | None) -> None:
        read = self.barrier.ask(None if partition is None else [partition])
        self.owed[read] = {p: end for p, end in self.ends.items() if partition in (None, p)}

    @rule()
    def send_question(self) -> None:
        self.asked = self.barrier.begin_round()
        self.ends_on_their_way = dict(self.ends)

    @rule()
    def receive_answer(self) -> None:
        if self.asked is not None:
            self.barrier.set_targets(self.asked, self.ends_on_their_way)
            self.asked = None

    @rule()
    def release(self) -> None:
        for read in self.barrier.release(self.visible):
            assert all(self.visible[p] >= end for p, end in self.owed.pop(read).items())

    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        if self.owed:
            read = data.draw(st.sampled_from(list(self.owed)))
            self.barrier.forget(read)
            del self.owed[read]

    @invariant()
    def only_those_who_wait_are_held(self) -> None:
        assert len(self.barrier) == len(self.owed)

    def teardown(self) -> None:
        """Once everything is stored and the poller has gone round, nobody waits."""
        self.barrier.set_targets(self.barrier.begin_round(), self.ends)
        assert set(self.barrier.release(self.ends)) == set(self.owed)


TestReadBarrier = Barrier.TestCase
