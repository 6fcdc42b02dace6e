"""What can go wrong in the stream processor.

ProcessorError
+- BrokenInvariantError   a promise of this package does not hold any more: the process must end (see fail_stop)
+- NameTakenError         another process runs under the same name: a restart cannot help
+- StateFormatError       a changelog record was written by a version that this one cannot read
+- TopicsNotReadyError    topics are missing or not co-partitioned; nothing was started
"""

from __future__ import annotations


class ProcessorError(Exception):
    """Root of this package's errors."""


class BrokenInvariantError(ProcessorError):
    """Going on could make a summary wrong; the message says which invariant broke."""


class NameTakenError(ProcessorError):
    """`named_by` is the setting and the name in it; the process, a sink as well, ends with exit code 78."""

    def __init__(self, named_by: str) -> None:
        super().__init__(f"another process runs under the same name, {named_by}: give each its own name, or none")


class StateFormatError(ProcessorError):
    """The changelog holds a state of an unknown format version; upgrade the processors before the producers."""


class TopicsNotReadyError(ProcessorError):
    """The topics do not exist as the processor needs them; the message says what to do."""
