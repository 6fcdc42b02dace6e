"""The commands of a person who does what a message says, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

from axonstream.settings.settings import Settings

COMMAND = (sys.executable, "-m", "axonstream.cli.main")
ENDS_WITHIN_S = 120
_GIVEN = (
    "kafka_bootstrap_servers",
    "clickhouse_url",
    "clickhouse_database",
    "topic_prefix",
    "topic_partitions",
    "session_timeout_ms",
    "insert_timeout_ms",
    "publish_timeout_ms",
    "processor_instance",
    "sink_instance",
)


def environment(settings: Settings) -> dict[str, str]:
    """Of a shell in which the settings are exported."""
    given = {f"AXONSTREAM_{name.upper()}": str(getattr(settings, name)) for name in _GIVEN}
    secret = {"AXONSTREAM_SERVER_SECRET": settings.server_secret.get_secret_value()}
    return {**os.environ, **given, **(secret if secret["AXONSTREAM_SERVER_SECRET"] else {})}


def axonstream(environment: dict[str, str], *words: str) -> tuple[int, str]:
    """Exit code, and all that was printed."""
    done = subprocess.run(
        [*COMMAND, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )
    return done.returncode, done.stdout


class Part:
    """`axonstream PART ...`; all that it prints, errors included, is read at once: a full pipe would make it stop."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._printed: list[str] = []
        self._all_was_read = False
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def said(self) -> str:
        return "".join(self._printed)

    def until_said(self, text: str, within_s: float = ENDS_WITHIN_S) -> None:
        """Blocks. Fails when it ends before, or does not say so in time."""
        with self._news:
            self._news.wait_for(lambda: text in self.said or self._all_was_read, within_s)
        assert text in self.said, f"it has not said {text!r}:\n{self.said}"

    def ended(self, within_s: float = ENDS_WITHIN_S) -> int:
        """Blocks. The exit code, once it has ended by itself and all that it said was read."""
        code = self.process.wait(within_s)
        with self._news:
            assert self._news.wait_for(lambda: self._all_was_read, within_s)
        return code

    def stop(self) -> int:
        """As an operator stops it: SIGTERM; the exit code."""
        self.process.terminate()
        return self.ended()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self._printed.append(line)
                self._news.notify_all()
        with self._news:
            self._all_was_read = True
            self._news.notify_all()


@contextmanager
def running_part(environment: dict[str, str], *words: str) -> Generator[Part]:
    """Not waited for; killed at the end if it still runs."""
    with subprocess.Popen(
        [*COMMAND, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        running = Part(process)
        try:
            yield running
        finally:
            process.kill()
            running.ended()
