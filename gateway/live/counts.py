"""What the readers of live streams were given, counted for all of them since the gateway began."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class LiveCounts:
    """Events, and gaps by their reason, as they go to a connection."""

    events: int = 0
    gaps: dict[str, int] = field(default_factory=lambda: {"slow": 0, "expired": 0, "lost_end": 0, "old_position": 0})
