"""The fields of an event, written once: what checks, stores, reads and describes events takes them from here.

`FIELDS` is the table. From it come

- the check of what a sender gives (`event_contract.EventInput`), and with it /openapi.json and docs/http.md,
- the Kafka record and its type (`contract/event_record.py`, `contract/event.py`),
- the columns of an INSERT, of the reads and of `axonstream verify`,
- the answers over HTTP (`gateway/routing/answers.py`) and the results of the SDK (`results.py`).

To add an optional field, write a row in `FIELDS`, a line in `EventFields` and one in `EventAttributes` (type checkers
and editors read these two), and a migration that adds the column. `tests/axonstream/test_event_fields.py` names what is
missing.

Only plain Python: the SDK imports it. Limits are in bytes of UTF-8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, Literal, TypedDict, TypeVar

from axonstream.names import MAX_NAME_BYTES

Status = Literal["ok", "error"]
STATUSES: tuple[Status, ...] = ("ok", "error")

EVENT_TYPE_PATTERN = r"^[a-z0-9_.]{1,64}$"
MAX_ID = (1 << 63) - 1
MAX_TIME_MS = 7_258_118_400_000  # 2200-01-01: inside of what DateTime64(3) holds
MAX_TOKENS = 10**12
MAX_DURATION_MS = 10 * 366 * 86_400_000  # ten years
MAX_AMOUNT = 999_999  # with 12 digits after the point, what Decimal(18, 12) holds


@dataclass(frozen=True, slots=True)
class Text:
    """`least` bytes to MAX_NAME_BYTES, without NUL. One that was not given is "" in records and in ClickHouse."""

    least: int = 0
    pattern: str | None = None

    @property
    def must_be(self) -> str:
        what = "a non-empty string" if self.least else "a string"
        return f"must be {what} of at most {MAX_NAME_BYTES} bytes without NUL"


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from 0 to `most`. One that was not given is in no record, and NULL in ClickHouse."""

    most: int = MAX_ID

    @property
    def must_be(self) -> str:
        return f"must be a whole number from 0 to {self.most}"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words. One that was not given is "" in records and in ClickHouse."""

    words: tuple[str, ...]

    @property
    def must_be(self) -> str:
        return f"must be {' or '.join(self.words)}"


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money from 0 to `most`, exact to 12 digits after the point (`amounts.py`).

    A sender gives a number. In a record it is its one text, in ClickHouse a Decimal. One that was not given is in no
    record, and NULL in ClickHouse.
    """

    most: int = MAX_AMOUNT

    @property
    def must_be(self) -> str:
        return f"must be a number from 0 to {self.most}, and no text"


@dataclass(frozen=True, slots=True)
class ChannelNumber:
    """A whole number, or its digits in a string."""

    must_be: str = f"{Whole().must_be}, or its digits in a string"


@dataclass(frozen=True, slots=True)
class ForeignId:
    """An id that the sender chose: text, or a number that is kept as text. One that was not given is ""."""

    must_be: str = f"must be a number, or a string of at most {MAX_NAME_BYTES} bytes without NUL"


@dataclass(frozen=True, slots=True)
class Time:
    """Milliseconds since 1970; a sender may also write ISO 8601 with a zone."""

    must_be: str = "must be ISO 8601 with a zone, as 2026-01-31T12:00:00.000Z, or whole milliseconds since 1970"


@dataclass(frozen=True, slots=True)
class Object:
    """A JSON object; the sender's bytes are kept."""

    must_be: str = "must be a JSON object"


Kind = Text | Whole | Choice | Amount | ChannelNumber | ForeignId | Time | Object


@dataclass(frozen=True, slots=True)
class EventField:
    """One field.

    `name` is its name in Python, in the record and in ClickHouse. `column` is its ClickHouse type, `said` what it is,
    for people. `must_be` says what it must be where the words of its kind do not do.
    """

    name: str
    kind: Kind
    column: str
    said: str
    must_be: str = ""
    required: bool = False  # of the sender
    always: bool = False  # in every record: the sender must give it, or the server puts it in
    sent: bool = True  # by the sender; the others are the server's alone
    listed: bool = True  # in answers
    sent_as: str = ""  # where it is not `wire`
    shown_as: str = ""  # in answers and results, where it is not `name`

    @property
    def wire(self) -> str:
        """Its name in JSON."""
        return _camel(self.name)

    @property
    def shown(self) -> str:
        """Its name in the results of the SDK."""
        return self.shown_as or self.name

    @property
    def answered(self) -> str:
        """Its name in the JSON of answers."""
        return _camel(self.shown)

    @property
    def words(self) -> str:
        """What it must be, for whoever sent something else."""
        return self.must_be or self.kind.must_be

    @property
    def missing(self) -> str | None:
        """What stands for it, beside the sender, where it was not given."""
        return None if isinstance(self.kind, Whole | Amount) else ""

    @property
    def is_carried(self) -> bool:
        """Whether nothing but its bounds is known of it: it may be given, and is stored and answered as it came."""
        return not self.always and not self.shown_as and isinstance(self.kind, Text | Whole | Choice | Amount)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


_STRING, _WORD, _TIME = "String", "LowCardinality(String)", "DateTime64(3, 'UTC')"
_COUNT, _MONEY = "Nullable(UInt64)", "Nullable(Decimal(18, 12))"

# In the order of the answers. A new field goes before `source`.
FIELDS = (
    EventField("tenant_id", Text(1), _WORD, "whose event it is", sent=False, always=True, listed=False),
    EventField("event_id", Whole(), "UInt64", "its id, unique in the trace", sent=False, always=True),
    EventField(
        "identifier",
        Text(1),
        _STRING,
        "what happened: the name of the tool, the step, the task",
        required=True,
        always=True,
    ),
    EventField("payload", Object(), _STRING, "a JSON object, as it was sent", required=True, always=True),
    EventField(
        "channel_id",
        ChannelNumber(),
        "UInt64",
        "the channel that it was published to",
        required=True,
        always=True,
        sent_as="channel_id",
    ),
    EventField("agent_id", Text(), _WORD, "the agent that it is about"),
    EventField(
        "trace_id",
        Text(1),
        _STRING,
        "the run that it belongs to",
        must_be=f"{Text(1).must_be}, or left out for the server to make one",
        always=True,
    ),
    EventField(
        "span_id", Text(), _STRING, "the sender's id of the step; services that count their own may use the same"
    ),
    EventField(
        "parent_event_id",
        ForeignId(),
        _STRING,
        "its parent event, as the sender named it; need not exist",
    ),
    EventField("parent_span_id", Text(), _STRING, "its parent span, as the sender named it; need not exist"),
    EventField(
        "event_type",
        Text(1, EVENT_TYPE_PATTERN),
        _WORD,
        "`agent.error`, `agent.tool_call.start`, ..., or a type of the sender's own",
        must_be="must be 1 to 64 characters of a-z, 0-9, _ and ., as agent.tool_call.start",
        always=True,
    ),
    EventField(
        "metadata",
        Object(),
        _STRING,
        "a JSON object, as it was sent",
        must_be=f"{Object().must_be}, or left out",
    ),
    EventField("dedup_key", Text(), _STRING, "events of a trace with the same key are one"),
    EventField("environment", Text(), _WORD, "`production`, `staging`, whatever the sender says"),
    EventField("session_id", Text(), _STRING, "the session that the run belongs to"),
    EventField("user_id", Text(), _STRING, "the user that it was done for"),
    EventField("customer", Text(), _WORD, "the customer that it was done for"),
    EventField("workflow", Text(), _WORD, "the workflow that the run is one of"),
    EventField("service_name", Text(), _WORD, "the service that it happened in"),
    EventField("release", Text(), _WORD, "the release of that service"),
    EventField("model", Text(), _WORD, "the model that was called"),
    EventField("provider", Text(), _WORD, "who serves that model"),
    EventField("input_tokens", Whole(MAX_TOKENS), _COUNT, "tokens that the model read, those from a cache included"),
    EventField("output_tokens", Whole(MAX_TOKENS), _COUNT, "tokens that the model wrote, its reasoning included"),
    EventField("cached_input_tokens", Whole(MAX_TOKENS), _COUNT, "those of the input that came from a cache"),
    EventField("reasoning_tokens", Whole(MAX_TOKENS), _COUNT, "those of the output that were reasoning"),
    EventField(
        "cost_usd",
        Amount(),
        _MONEY,
        "what it cost in US dollars, exact to 12 digits after the point; more are rounded half to even",
    ),
    EventField("error_type", Text(), _WORD, "what kind of error it is, as `TimeoutError`"),
    EventField(
        "status",
        Choice(STATUSES),
        _WORD,
        "how the step ended; answers have it as `stepStatus`",
        shown_as="step_status",  # `status` of an answer says that it is stored
    ),
    EventField(
        "duration_ms",
        Whole(MAX_DURATION_MS),
        _COUNT,
        "how long it took, for one event that is a whole step, such as `app.span`",
    ),
    EventField("source", Text(1), _WORD, "the way that it came: `app` or `otlp`", sent=False, always=True),
    EventField(
        "occurred_at",
        Time(),
        _TIME,
        "when it happened, by the sender's clock; the time of arrival where none was sent",
        always=True,
    ),
    EventField(
        "received_at",
        Time(),
        _TIME,
        "when Kafka took it, by the clock of the broker, whoever published",
        sent=False,
        always=True,
    ),
)

SENT = tuple(field for field in FIELDS if field.sent)
LISTED = tuple(field for field in FIELDS if field.listed)
CARRIED = tuple(field for field in FIELDS if field.is_carried)

# In a record, the optional fields stand in this order; what is not named here follows, in the order of the table.
_OLDEST = ("span_id", "parent_event_id", "parent_span_id", "agent_id", "dedup_key", "environment")


def _place(field: EventField) -> int:
    return _OLDEST.index(field.name) if field.name in _OLDEST else len(_OLDEST)


OPTIONAL_IN_RECORD = tuple(
    sorted((field for field in FIELDS if not field.always and not isinstance(field.kind, Object)), key=_place)
)

# Few events have one of these: where none is given, nothing is looked for.
RARE = OPTIONAL_IN_RECORD[len(_OLDEST) :]


class EventFields(TypedDict, total=False):
    """What `publish` takes by name, beside identifier, payload and channel; None is as if it were left out."""

    agent_id: str | None
    trace_id: str | None
    span_id: str | None
    parent_event_id: int | str | None
    parent_span_id: str | None
    event_type: str | None
    metadata: Mapping[str, Any] | None
    dedup_key: str | None
    environment: str | None
    session_id: str | None
    user_id: str | None
    customer: str | None
    workflow: str | None
    service_name: str | None
    release: str | None
    model: str | None
    provider: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: Decimal | float | None
    error_type: str | None
    status: Literal["ok", "error"] | None
    duration_ms: int | None
    occurred_at: datetime | str | int | None


Missing = TypeVar("Missing")


class EventAttributes(Generic[Missing]):
    """The fields of `CARRIED` as attributes, for type checkers alone. `Missing` stands for a text that was not given:
    None for senders and readers, str ("") in records and rows.
    """

    __slots__ = ()

    agent_id: str | Missing
    span_id: str | Missing
    parent_span_id: str | Missing
    dedup_key: str | Missing
    environment: str | Missing
    session_id: str | Missing
    user_id: str | Missing
    customer: str | Missing
    workflow: str | Missing
    service_name: str | Missing
    release: str | Missing
    model: str | Missing
    provider: str | Missing
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: Decimal | None
    error_type: str | Missing
    duration_ms: int | None
