"""The states of `traces` live traces as plain dicts, and the memory that they take; prints it as JSON."""

from __future__ import annotations

import json
import sys

import orjson
import psutil

from benchmarks.measuring.sample_events import NOW_MS, sample_record, trace_id
from benchmarks.peers.job import say, set_gc
from benchmarks.peers.plain_fold import folded


def main() -> None:
    set_gc()
    process = psutil.Process()
    before = process.memory_info().rss
    states = {
        trace_id(number): folded(None, orjson.loads(sample_record(number, trace_id(number), NOW_MS).value))
        for number in range(int(sys.argv[1]))
    }
    say(json.dumps({"bytes": process.memory_info().rss - before, "states": len(states)}))


if __name__ == "__main__":
    main()
