"""The pages of the engine that its start alone needs are given back, and the engine works on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from axonstream.local.clickhouse_http.engine_pages import _mappings  # pyright: ignore[reportPrivateUsage]
from axonstream.local.part_process import environment_of

PROGRAM = """
import json, sys
from axonstream.local.clickhouse_http.connection import Connection
from axonstream.local.clickhouse_http.engine_pages import give_back_pages

def resident():
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Rss:"))

connection = Connection(sys.argv[1])
connection.query("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
connection.query("INSERT INTO t SELECT number, toString(number) FROM numbers(1000)")
question = "SELECT sum(a), max(b), countIf(b LIKE '%9%') FROM t WHERE a IN (SELECT number FROM numbers(500))"
answer, before = connection.query(question).data.decode(), resident()
given = give_back_pages()
after = resident()
assert connection.query(question).data.decode() == answer
connection.close()
print(json.dumps([given, before, after]))
"""
MAPS = """\
7fa7f3a00000-7fa7fca57000 r--p 00000000 fe:00 1 /x/chdb/_chdb.abi3.so
7fa7fca57000-7fa814029000 r-xp 09056000 fe:00 1 /x/chdb/_chdb.abi3.so
7fa814029000-7fa814ba0000 r--p 20627000 fe:00 1 /x/chdb/_chdb.abi3.so
7fa814ba0000-7fa814bb0000 rw-p 2119d000 fe:00 1 /x/chdb/_chdb.abi3.so
7fa814bb0000-7fa815bb0000 rw-p 00000000 00:00 0
7fa815bb0000-7fa815bc0000 r-xp 00000000 fe:00 2 /usr/lib/libc.so.6
7fa815bc0000-7fa815bd0000 rwxp 00000000 fe:00 1 /x/chdb/_chdb.abi3.so
"""


def test_only_what_nobody_has_written_to_is_given_back() -> None:
    """The second one of constants was relocated when it was loaded: its pages are not those of the file any more."""
    assert _mappings(MAPS) == [(0x7FA7F3A00000, 0x9057000), (0x7FA7FCA57000, 0x175D2000)]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="pages are given back on Linux alone")
def test_the_engine_takes_less_and_answers_alike(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "data")],
        env=environment_of(os.environ, {}, tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    given, before, after = json.loads(done.stdout)
    assert given > 0
    assert before - after > 100_000_000, f"{before:,} bytes before, {after:,} after"
