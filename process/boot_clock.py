"""A clock for leases: it only moves on, by real seconds, and goes on while the machine sleeps.

Linux's CLOCK_MONOTONIC, which `time.monotonic` reads, stands still during suspend: a laptop that slept for an hour
would wake up with leases that are still good. CLOCK_BOOTTIME counts those hours. On macOS CLOCK_MONOTONIC counts them,
although `time.monotonic` does not.

Not covered: a virtual machine that is paused from outside may not be told of it. See `changelog_fence`.
"""

from __future__ import annotations

import time

_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_clock() -> float:
    """Seconds since some moment that is the same for all processes of this machine until it restarts."""
    return time.clock_gettime(_CLOCK)
