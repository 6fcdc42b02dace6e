"""What publish() costs the caller, against httpx alone with the same body, on one kept connection to the gateway.

The gateway keeps nothing, so that Kafka's time is not in it: validation, the dedup key and reading the answer are.
"""

from __future__ import annotations

import orjson

from benchmarks.measuring.installation import Installation
from benchmarks.measuring.plan import read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.served import serving
from benchmarks.measuring.servers import Servers
from benchmarks.measuring.subject_process import subject_process
from benchmarks.peers.job import GC_THRESHOLDS, CallJob, job_text

OURS = "axonstream SDK publish()"
BARE = "httpx post alone"
WAYS = {OURS: "sdk", BARE: "httpx"}


def main() -> None:
    plan = read_plan(__doc__)
    count = plan.size(5_000, 500)
    results = Results(
        "sdk",
        "cost of a publish to its caller",
        plan,
        {"calls": count, "rounds": plan.rounds, "gc": GC_THRESHOLDS, "gateway": "ours, over a log that keeps nothing"},
    )
    with serving("gateway without Kafka", "floor", Installation(Servers("127.0.0.1:1", "http://127.0.0.1:1"))) as (
        _,
        port,
    ):
        for _ in range(plan.rounds):
            for subject, way in WAYS.items():
                job = CallJob(way, f"http://127.0.0.1:{port}", count)
                with subject_process(["-m", "benchmarks.peers.calling", job_text(job)]) as process:
                    process.until_line("ready")
                    found = orjson.loads(process.until_line("{"))
                values = {"CPU us/call": found["cpu_s"] / count * 1e6, "ms/call": found["seconds"] / count * 1000}
                results.add(subject, values)
    results.at_most("CPU us/call", OURS, BARE, 1.3)
    results.write()


if __name__ == "__main__":
    main()
