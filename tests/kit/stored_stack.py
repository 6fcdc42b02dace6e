"""Data directories that earlier versions have written, and what those versions answered of them."""

from __future__ import annotations

import json
import lzma
import tarfile
from pathlib import Path
from typing import Any

import httpx

STORED = Path(__file__).parents[1] / "stored"
KEYS = {"ak_local": "1", "ak_other": "2"}
# Kafka and ClickHouse must not take them for expired, however old the files are.
SETTINGS = {
    "AXONSTREAM_TOPIC_RETENTION_HOURS": "876000",
    "AXONSTREAM_EVENTS_TTL_DAYS": "7300",
    "AXONSTREAM_SUMMARIES_TTL_DAYS": "7400",
    "AXONSTREAM_DEAD_LETTERS_TTL_DAYS": "7400",
    "AXONSTREAM_TOPIC_PARTITIONS": "2",
    "AXONSTREAM_API_KEYS": ",".join(f"{key}={tenant}" for key, tenant in KEYS.items()),
}


def versions() -> list[str]:
    return sorted(path.name.removeprefix("stack-").removesuffix(".tar.xz") for path in STORED.glob("stack-*.tar.xz"))


def unpack(version: str, to: Path) -> dict[str, Any]:
    """The directory of that version, and its answers: `key`, and by trace its key with `summaries` and `events`."""
    with tarfile.open(STORED / f"stack-{version}.tar.xz") as archive:
        archive.extractall(to, filter="data")
    return json.loads(lzma.decompress((STORED / f"answers-{version}.json.xz").read_bytes()))


def answers(url: str) -> dict[str, Any]:
    """What a gateway answers of every trace that the two keys see."""
    summaries: dict[str, Any] = {}
    events: dict[str, Any] = {}
    for key in KEYS:
        with httpx.Client(base_url=url, headers={"x-axonpush-api-key": key}, trust_env=False, timeout=60) as client:
            for row in client.get("/traces", params={"limit": 100}).raise_for_status().json()["traces"]:
                trace_id = row["traceId"]
                summaries[trace_id] = [key, client.get(f"/traces/{trace_id}/summary").raise_for_status().json()]
                events[trace_id] = [key, client.get(f"/traces/{trace_id}/events").raise_for_status().json()]
    return {"summaries": summaries, "events": events}


def missing_from(now: Any, before: Any, at: str = "") -> list[str]:
    """Where what was answered before is not answered now. Fields that have come since are no difference, and neither is
    what was not known before. A type of the first error is only told now where the event says one.
    """
    if before is None or (at.endswith(".firstErrorType") and before == "agent.error"):
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            one
            for name in before
            for one in (missing_from(now[name], before[name], f"{at}.{name}") if name in now else [f"{at}.{name}"])
        ]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [
            one for n, (a, b) in enumerate(zip(now, before, strict=True)) for one in missing_from(a, b, f"{at}[{n}]")
        ]
    return [] if now == before else [f"{at}: {now!r:.60} and not {before!r:.60}"]
