"""Whether what was committed still speaks of the log that is there, asked as seldom as that can be known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from axonstream.kafka.leader_watch import Leader
from axonstream.kafka.record_identity import NO_EPOCH, Marks, RecordMark, Standing

Compare = Callable[[Marks], Awaitable[Mapping[tuple[TopicPartition, RecordMark], Standing]]]
_REMEMBERED = 64


@dataclass(slots=True)
class _Known:
    """What was compared under one leader."""

    leader: Leader
    standings: dict[RecordMark, Standing] = field(default_factory=dict[RecordMark, Standing])

    def needs_a_look(self, mark: RecordMark) -> bool:
        """Once one was compared, what this very leader took needs no look: it has lost nothing since."""
        if mark in self.standings:
            return False
        return not self.standings or mark.leader_epoch != self.leader.epoch or mark.leader_epoch == NO_EPOCH


class LogTrust:
    """Compares a mark when the leader, or the connection to it, is another one than when it was compared before.

    `compare` asks Kafka; see `record_identity.standings`.
    """

    def __init__(self, compare: Compare) -> None:
        self._compare = compare
        self._known: dict[TopicPartition, _Known] = {}

    async def lost(
        self, leaders: Mapping[TopicPartition, Leader], marks: Mapping[TopicPartition, list[RecordMark]]
    ) -> set[TopicPartition]:
        """The partitions of which a mark is not in the log any more. `leaders` answered after the marks were made, or
        were known before; raises what `compare` raises: then nothing is known.
        """
        wanted: dict[TopicPartition, list[RecordMark]] = {}
        for tp, some in marks.items():
            known = self._known.get(tp)
            if known is None or known.leader != leaders[tp]:
                known = self._known[tp] = _Known(leaders[tp])
            if doubtful := [mark for mark in some if known.needs_a_look(mark)]:
                wanted[tp] = doubtful
        if wanted:
            for (tp, mark), standing in (await self._compare(wanted)).items():
                standings = self._known[tp].standings
                standings[mark] = standing
                while len(standings) > _REMEMBERED:
                    del standings[next(iter(standings))]
        return {
            tp
            for tp, some in marks.items()
            if any(self._known[tp].standings.get(mark, Standing.UNKNOWN).lost_its_end for mark in some)
        }
