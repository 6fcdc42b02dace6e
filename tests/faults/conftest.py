from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from axonstream.settings.settings import Settings
from kit.kafka_cluster import KafkaCluster, kafka_cluster


@pytest.fixture(scope="session")
def one_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """A single broker that tests may freeze and kill; each leaves it running."""
    with kafka_cluster(tmp_path_factory.mktemp("one"), 1) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cluster_of_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    with kafka_cluster(tmp_path_factory.mktemp("three"), 3) as cluster:
        yield cluster


@pytest.fixture
def three_brokers(cluster_of_three: KafkaCluster) -> KafkaCluster:
    """Three that replicate everything, all well. A test may freeze and kill them; the next one has them well again."""
    asyncio.run(cluster_of_three.until_well())
    return cluster_of_three


@pytest.fixture
def one_broker_settings(one_broker: KafkaCluster, clickhouse_url: str, tmp_path: Path) -> Settings:
    """Topics and a database of this test alone, not made yet."""
    name = uuid4().hex[:8]
    return Settings(
        kafka_bootstrap_servers=one_broker.bootstrap_servers,
        clickhouse_url=clickhouse_url,
        topic_prefix=f"t{name}-",
        clickhouse_database=f"t{name}",
        topic_partitions=2,
        data_dir=tmp_path,
    )
