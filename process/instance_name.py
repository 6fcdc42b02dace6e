"""By which name Kafka knows a worker: the one that was given, or one that no other process has."""

from __future__ import annotations

from os import getpid
from socket import gethostname


def client_name(part: str, instance: str) -> str:
    """The instance's name, or PART-HOST-PID. It is shown by Kafka's tools and logs, and decides nothing."""
    return instance or f"{part}-{gethostname()}-{getpid()}"


def static_member(instance: str) -> str | None:
    """The name under which a worker comes back into its group; None without a name.

    A name that two processes could share by accident would have them take each other's place. Without one a member
    leaves the group when it stops, and its partitions are taken over at once; killed, after the session timeout.
    """
    return instance or None
