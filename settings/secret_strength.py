"""Whether a secret that somebody chose could be guessed, as far as its characters tell."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import log2

LEAST_DISTINCT = 8  # characters
LEAST_BITS = 40  # by the estimate below; 32 random hex digits have about 115
MAKE_ONE = "make one with `openssl rand -hex 32`"


def weakness(secret: str, least: int) -> str | None:
    """Why `secret` is too weak, as the end of a sentence that begins with its name; None where nothing shows it.

    It must have `least` characters and LEAST_DISTINCT different ones, must not repeat its own beginning over a third
    of its length, nor be mostly runs such as `aaaa` and `1234`, and the variety of its characters must amount to
    LEAST_BITS (Shannon's entropy of how often each stands, times the length). Words and names are not looked up, so a
    sentence out of a book passes: only random characters are safe. The answer holds nothing of the secret.
    """
    if len(secret) < least:
        return f"must have {least} characters or more: {MAKE_ONE}"
    if len(set(secret)) < LEAST_DISTINCT:
        return f"must have {LEAST_DISTINCT} different characters or more: {MAKE_ONE}"
    if _repeats(secret) or _runs(secret) or _bits(secret) < LEAST_BITS:
        return f"follows a pattern and could be guessed: {MAKE_ONE}"
    return None


def _repeats(text: str) -> bool:
    """Whether it is one shorter text, over and over; the last time need not be whole."""
    return any(text.startswith(text[period:]) for period in range(1, len(text) * 2 // 3 + 1))


def _runs(text: str) -> bool:
    steps = [ord(later) - ord(earlier) for earlier, later in pairwise(text)]
    return 2 * sum(step in (-1, 0, 1) for step in steps) > len(steps)


def _bits(text: str) -> float:
    return -sum(count * log2(count / len(text)) for count in Counter(text).values())
