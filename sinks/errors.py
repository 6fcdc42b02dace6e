"""What can go wrong in the sink.

SinkError
+- EpochError              Kafka's topics are not those that ClickHouse was filled from; going on would lose or double
+- MigrationError          the schema is not that of this version, or cannot be brought to it
+- SettingsError           the settings contradict each other
+- TooManyBadEventsError   more dead letters a minute than a person allowed; nothing of the batch is committed
+- TableRefusesError       ClickHouse takes no event at all; nothing more is set aside or committed
+- DeadLettersError        a dead letter is not acknowledged; nothing is committed past it, the process ends
+- LedgerBrokenError       ClickHouse stored more rows than it was given
+- LeaseLostError          Kafka accepts no heartbeat any more; the process ends and starts again
+- RevokedError            the partitions belong to someone else now; stop working on them (never leaves the package)
+- LostEndError            Kafka has lost records that were read; begin anew (never leaves the package)
+- InsertError             an INSERT was not acknowledged (never leaves the package)
   +- RowRefusedError      ClickHouse read the batch and refuses its data; it says which row, or does not
   +- OutcomeUnknownError  the rows may be stored, or not, or in part
      +- OutOfTimeError    so many rows may be too many for the insert timeout
      +- TooLateError      the server got the INSERT after the lease had ended; nothing of it is stored
"""

from __future__ import annotations

EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE: a restart helps once the service is back
EXIT_MISMATCH = 78  # EX_CONFIG of sysexits.h: a restart cannot help, a person must decide


class SinkError(Exception):
    """Root of this package's errors."""


class EpochError(SinkError):
    """The message says what differs and what to do; the sink ends with EXIT_MISMATCH."""


class MigrationError(SinkError):
    """The message says which migration, and what to do; the sink ends with EXIT_MISMATCH."""


class SettingsError(SinkError):
    """The message names the settings; the sink ends with EXIT_MISMATCH."""


class TooManyBadEventsError(SinkError):
    """The message names the setting, the topic and the first reasons; the sink ends with EXIT_MISMATCH."""


class TableRefusesError(SinkError):
    """The message says what ClickHouse answers and what to do; the sink ends with EXIT_MISMATCH."""


class DeadLettersError(SinkError):
    """The message names the topic and what to look at; the sink ends with EXIT_UNAVAILABLE and is started again."""


class LedgerBrokenError(SinkError):
    """A row may be stored twice; the process ends, so that nothing is built on it."""


class LeaseLostError(SinkError):
    """Nothing is lost: what is not committed is read again by the next life of this member."""


class RevokedError(SinkError):
    """This member may not write for its partitions any more."""


class LostEndError(SinkError):
    """The log of a partition is not the one that was read: it lost its end, and may have grown again."""


class InsertError(SinkError):
    """An INSERT that was not acknowledged."""


class RowRefusedError(InsertError):
    """`row` counts from 1 within the batch; None when ClickHouse does not name one."""

    def __init__(self, row: int | None, reason: str) -> None:
        super().__init__(reason)
        self.row = row
        self.reason = reason


class OutcomeUnknownError(InsertError):
    """Kill the query, read back, insert what is missing."""


class OutOfTimeError(OutcomeUnknownError):
    """The same, and try fewer rows."""


class TooLateError(OutcomeUnknownError):
    """Held back on its way, or the server's clock was set forward: ask it for the time again."""
