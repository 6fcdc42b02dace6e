"""What can go wrong with a process as such."""

from __future__ import annotations


class NameTakenError(Exception):
    """`named_by` is the setting and the name in it; the process, a sink as well, ends with exit code 78."""

    def __init__(self, named_by: str) -> None:
        super().__init__(f"another process runs under the same name, {named_by}: give each its own name, or none")
