"""The rooms of the house, in the order in which they may import each other: each one those before it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
SDK = "axonstream"
# Each is a folder beside the package, and a link in it.
SERVER_ROOMS = (
    *("contract", "settings", "process", "kafka", "clickhouse"),
    *("producers", "stream_processors", "sinks", "gateway"),
    *("deploy", "local", "cli"),
)
ROOMS = (SDK, *SERVER_ROOMS)
