"""The partition of a trace is the one that every other Kafka client chooses."""

from __future__ import annotations

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from axonstream.kafka.partitioner import partition_of


@given(st.binary(max_size=40), st.integers(min_value=1, max_value=100))
def test_a_key_is_on_the_partition_that_aiokafka_and_java_choose(key: bytes, partitions: int) -> None:
    everyone = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, everyone, everyone)
