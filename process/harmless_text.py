"""Text of unknown origin made safe to print: a sender, a server or an exception may have put anything into it."""

from __future__ import annotations


def harmless(text: str) -> str:
    """`text` with every control, bidi and invisible character spelled out (ESC as \\x1b): one line, no effects."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def harmless_lines(text: str) -> str:
    """As `harmless`, but line feeds stay: for text whose lines are ours, or each of them a line of a log."""
    return "\n".join(map(harmless, text.split("\n")))
