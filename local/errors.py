"""What can go wrong with the local stack; every message says what to do next.

DeployError
+- DownloadError       Kafka's jars could not be fetched, or are not those that this version knows
+- AlreadyRunningError  another `axonstream up` owns the data directory
+- PartFailedError     a part did not become ready in time
   +- PartRefusesError   it ended with exit code 78: a person must decide something before it is started again
   +- PortTakenError     another program has its port
+- NotPrivateError     others could read the data directory
"""

from __future__ import annotations

from axonstream.deploy.errors import DeployError


class DownloadError(DeployError):
    """Kafka's jars could not be fetched, or are not those that this version knows."""


class AlreadyRunningError(DeployError):
    """Another stack owns the data directory."""


class NotPrivateError(DeployError):
    """Others could read the data directory."""


class PartFailedError(DeployError):
    """A part of the stack did not become ready in time."""


class PartRefusesError(PartFailedError):
    """A part ended with exit code 78: started again as it is, it would end again."""


class PortTakenError(PartFailedError):
    """Another program listens on the port of a part."""
