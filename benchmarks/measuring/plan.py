"""How large a benchmark is, and the command line that every question has."""

from __future__ import annotations

import argparse
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """`quick` is for seeing that everything works: its figures are of small sizes and one round."""

    quick: bool
    rounds: int

    def size(self, full: int, quick: int) -> int:
        """How many events, requests or traces to use."""
        return quick if self.quick else full


def read_plan(description: str | None) -> Plan:
    """The plan that the command line asks for."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--quick", action="store_true", help="small sizes, one round")
    arguments.add_argument("--rounds", type=int, default=0, help="3 unless told; 1 with --quick")
    options = arguments.parse_args()
    return Plan(quick=options.quick, rounds=options.rounds or (1 if options.quick else 3))
