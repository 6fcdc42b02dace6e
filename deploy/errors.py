"""What can go wrong while an installation is set up; every message says what to do next.

DeployError
+- ServerNotReadyError  Kafka or ClickHouse does not answer, or not everything there is as it must be
"""

from __future__ import annotations


class DeployError(Exception):
    """Root of this package's errors, and of those of the local stack."""


class ServerNotReadyError(DeployError):
    """Kafka or ClickHouse does not answer, or events wait there that must be stored first."""
