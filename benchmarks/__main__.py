"""`python -m benchmarks [--quick] [QUESTION ...]`: every question, on one stack of servers."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from time import monotonic

from benchmarks.measuring.servers import servers

QUESTIONS = (
    "processor",
    "sink",
    "encoders",
    "gateway_single",
    "gateway_bulk",
    "kafka_publisher",
    "sdk",
    "end_to_end",
    "freshness",
    "reads",
    "long_trace",
    "memory",
    "growth",
    "recovery",
    "scale_out",
    "durability",
)


def main() -> int:
    """The number of questions that could not be answered."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="small sizes, one round")
    arguments.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(QUESTIONS))
    options = arguments.parse_args()
    failed: list[str] = []
    with servers() as at:
        for question in options.questions or QUESTIONS:
            started = monotonic()
            command = [sys.executable, "-m", f"benchmarks.{question}", *(["--quick"] if options.quick else [])]
            if subprocess.run(command, env={**os.environ, **at.environment()}, check=False).returncode:
                failed.append(question)
            print(f"   ({question}: {monotonic() - started:.0f} s)", flush=True)
    if failed:
        print(f"\nnot answered: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
