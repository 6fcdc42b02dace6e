"""Kafka's jars: resolved once from Maven coordinates by jgo, remembered, and held to known hashes at each start."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jgo
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from axonstream.local.errors import DownloadError
from axonstream.local.kafka_jar_hashes import SHA256_BY_NAME

KAFKA = "org.apache.kafka:kafka_2.13:4.3.0"
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"  # without it the broker logs nothing


def kafka_classpath(cache_dir: Path, console: Console | None = None) -> list[Path]:
    """The jars of Kafka and what it needs, about 45 MB, downloaded when they are not on this machine yet.

    The list is kept in `cache_dir`, so that a later start asks no registry. Each jar has the SHA-256 that
    `kafka_jar_hashes` names; looking at them takes 0.05 to 0.15 s, each time. Raises DownloadError.
    """
    listing = cache_dir / (f"{KAFKA}+{LOGGING}".replace(":", "-") + ".json")
    if listing.exists():
        jars = [Path(name) for name in json.loads(listing.read_text())]
        if jars and all(jar.exists() for jar in jars):
            return check_jars(jars)
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
    check_jars(jars)
    cache_dir.mkdir(parents=True, exist_ok=True)
    partial = listing.with_suffix(".partial")
    partial.write_text(json.dumps([str(jar) for jar in jars]))
    partial.replace(listing)
    return jars


def check_jars(jars: Sequence[Path]) -> list[Path]:
    """The jars, if they are exactly those that this version was made with. Raises DownloadError, which names a file."""
    with ThreadPoolExecutor() as pool:
        found = dict(zip(jars, pool.map(_sha256, jars), strict=True))
    for jar, digest in found.items():
        if digest != SHA256_BY_NAME.get(jar.name):
            raise DownloadError(
                f"{jar} is not the file that this version of axonstream knows (its SHA-256 is {digest}), so Kafka is "
                "not started with it. Delete the file and start again. If it comes back the same, the Maven repository "
                "or something on the way to it gives out another file: do not use it"
            )
    if missing := SHA256_BY_NAME.keys() - {jar.name for jar in jars}:
        raise DownloadError(f"Kafka cannot run without {min(missing)}: delete {jars[0].parent} and start again")
    return list(jars)


def _sha256(jar: Path) -> str:
    with jar.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(fetches: list[Callable[[], Path]], console: Console) -> list[Path]:
    columns = (TextColumn("Downloading Apache Kafka"), BarColumn(), MofNCompleteColumn(), TextColumn("jars"))
    with Progress(*columns, console=console, transient=False) as progress, ThreadPoolExecutor(4) as pool:
        task = progress.add_task("jars", total=len(fetches))

        def fetch(one: Callable[[], Path]) -> Path:
            jar = one()
            progress.advance(task)
            return jar

        return list(pool.map(fetch, fetches))
