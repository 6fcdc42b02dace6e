"""Text that does something to a terminal that prints it raw, or that passes for a line of its own."""

from __future__ import annotations

# An escape sequence that sets the title, one that clears the screen, the same as a C1 control, bidi overrides and
# isolates, DEL, a zero-width space, and the ends of lines that terminals and str.splitlines know.
HOSTILE = "a\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\u2066\x7f\u200b\r\x85\u2028b"


def effects(text: str) -> list[str]:
    """The characters of `text`, but for line feeds, that are not simply printed."""
    return [char for char in text if char != "\n" and not char.isprintable()]
