"""Kafka's jars: resolved once from Maven coordinates by jgo, then remembered."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jgo
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from deploy.errors import DownloadError

KAFKA = "org.apache.kafka:kafka_2.13:4.3.0"
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"  # without it the broker logs nothing


def kafka_classpath(cache_dir: Path, console: Console | None = None) -> list[Path]:
    """The jars of Kafka and what it needs, about 45 MB, downloaded when they are not on this machine yet.

    The list is kept in `cache_dir`, so that a later start asks no registry. Raises DownloadError.
    """
    listing = cache_dir / (f"{KAFKA}+{LOGGING}".replace(":", "-") + ".json")
    if listing.exists():
        jars = [Path(name) for name in json.loads(listing.read_text())]
        if all(jar.exists() for jar in jars):
            return jars
    console = console or Console(stderr=True)
    try:
        with console.status(f"Resolving {KAFKA} ..."):
            artifacts = [
                *jgo.resolve(KAFKA),
                jgo.resolve(LOGGING)[0],
            ]  # together, one would change versions of the other
        jars = _download([artifact.resolve for artifact in artifacts], console)
    except Exception as error:
        raise DownloadError(
            f"Apache Kafka ({KAFKA}) could not be downloaded from the Maven repository: {error}. Check the network and "
            "proxy of this machine and start again, or point AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS at a Kafka that runs"
        ) from error
    cache_dir.mkdir(parents=True, exist_ok=True)
    partial = listing.with_suffix(".partial")
    partial.write_text(json.dumps([str(jar) for jar in jars]))
    partial.replace(listing)
    return jars


def _download(fetches: list[Callable[[], Path]], console: Console) -> list[Path]:
    columns = (TextColumn("Downloading Apache Kafka"), BarColumn(), MofNCompleteColumn(), TextColumn("jars"))
    with Progress(*columns, console=console, transient=False) as progress, ThreadPoolExecutor(4) as pool:
        task = progress.add_task("jars", total=len(fetches))

        def fetch(one: Callable[[], Path]) -> Path:
            jar = one()
            progress.advance(task)
            return jar

        return list(pool.map(fetch, fetches))
