"""Gateways as processes on topics of their own, for live streams: nothing else of the pipeline runs."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from deploy.free_ports import free_port
from kit.gateway_process import gateway_process
from producers.settings import Settings
from producers.topic_admin import make_topics

KEYS = "ak_local=1,ak_other=2"


@dataclass
class LiveGateways:
    """`urls[i]` is served by `processes[i]`."""

    settings: Settings
    urls: list[str] = field(default_factory=list[str])
    processes: list[subprocess.Popen[str]] = field(default_factory=list[subprocess.Popen[str]])


@contextmanager
def live_gateways(
    kafka_bootstrap: str, number: int = 1, partitions: int = 3, **settings: object
) -> Generator[LiveGateways]:
    """So many gateways of one installation, ready; killed at the end."""
    given = {"topic_partitions": partitions, "topic_prefix": f"t{uuid4().hex[:8]}-"} | settings
    gateways = LiveGateways(Settings.model_validate({"kafka_bootstrap_servers": kafka_bootstrap, **given}))
    asyncio.run(make_topics(gateways.settings))
    with ExitStack() as stack:
        for _ in range(number):
            port = free_port()
            process, printed = stack.enter_context(gateway_process(gateways.settings, port, api_keys=KEYS))
            gateways.urls.append(f"http://127.0.0.1:{port}")
            gateways.processes.append(process)
            if printed.readline() != "ready gateway\n":
                raise AssertionError("the gateway did not start")
        yield gateways
