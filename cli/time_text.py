"""Figures in words, and words as figures: durations and counts."""

from __future__ import annotations

import re

_SPAN = re.compile(r"([0-9]{1,6})([mhd])")
_UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


def span_ms(text: str) -> int | None:
    """Milliseconds of `30m`, `12h` or `7d`; None for anything else."""
    span = _SPAN.fullmatch(text)
    return int(span[1]) * _UNITS_MS[span[2]] if span else None


def duration_text(milliseconds: int) -> str:
    """`812 ms`, `4,560 ms`, `12.3 s`, `7.5 min`, `26.1 h`."""
    if milliseconds < 10_000:
        return f"{milliseconds:,} ms"
    if milliseconds < 600_000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds / 60_000:.1f} min" if milliseconds < 36_000_000 else f"{milliseconds / 3_600_000:,.1f} h"


def count_text(number: int, noun: str) -> str:
    """`1 error`, `2,000 errors`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
