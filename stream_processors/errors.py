"""What can go wrong in the stream processor.

ProcessorError
+- BrokenInvariantError   a promise of this package does not hold any more: the process must end (see fail_stop)
+- StateFormatError       a changelog record was written by a version that this one cannot read
+- TopicsNotReadyError    topics are missing or not co-partitioned; nothing was started
"""

from __future__ import annotations


class ProcessorError(Exception):
    """Root of this package's errors."""


class BrokenInvariantError(ProcessorError):
    """Going on could make a summary wrong; the message says which invariant broke."""


class StateFormatError(ProcessorError):
    """The changelog holds a state of an unknown format version; upgrade the processors before the producers."""


class TopicsNotReadyError(ProcessorError):
    """The topics do not exist as the processor needs them; the message says what to do."""
