"""What can go wrong with the local stack; every message says what to do next.

DeployError
+- DownloadError       Kafka's jars could not be fetched, or are not those that this version knows
+- AlreadyRunningError  another `axonstream up` owns the data directory
+- PartFailedError     a part did not become ready in time
+- NotPrivateError     others could read the data directory
"""

from __future__ import annotations


class DeployError(Exception):
    """Root of this package's errors."""


class DownloadError(DeployError):
    """Kafka's jars could not be fetched, or are not those that this version knows."""


class AlreadyRunningError(DeployError):
    """Another stack owns the data directory."""


class NotPrivateError(DeployError):
    """Others could read the data directory."""


class PartFailedError(DeployError):
    """A part of the stack did not become ready in time."""
