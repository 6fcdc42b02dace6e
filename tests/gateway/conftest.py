from __future__ import annotations

import pytest

from kit.offline_gateway import OfflineGateway


@pytest.fixture
def offline() -> OfflineGateway:
    """A gateway without Kafka and ClickHouse, and an event log in memory."""
    return OfflineGateway()
