from __future__ import annotations

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
