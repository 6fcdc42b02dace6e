"""Make what the pipeline stands on: topics, schema, the epoch of the events topic. Idempotent."""

from __future__ import annotations

import asyncio

from producers.settings import Settings
from producers.topic_admin import make_topics
from sinks.epochs import ensure_epoch
from sinks.schema import migrate


async def initialise(settings: Settings) -> None:
    """Everything that must exist before a processor, sink or gateway starts; running it again changes nothing."""
    await make_topics(settings)
    await asyncio.to_thread(migrate, settings)
    await ensure_epoch(settings)
