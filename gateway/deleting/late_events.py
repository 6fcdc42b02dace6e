"""What a publisher is told whose event is of something that was deleted, and takes no late events."""

from __future__ import annotations

from msgspec import Raw
from msgspec.json import Decoder

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.event_contract import EventInput, trace_id_of
from axonstream.gateway.http.errors import RefusedError

SELECTIONS = {"sessionId": "session_id", "userId": "user_id"}  # fields; metadata may name them by either word
_members = Decoder(dict[str, Raw]).decode
_text = Decoder(str).decode


class LateEvents:
    """Costs one look while nothing is deleted."""

    def __init__(self, deleted: DeletedTraces) -> None:
        self._deleted = deleted

    def refusal(self, tenant_id: str, event: EventInput, metadata: bytes) -> RefusedError | None:
        """409 for an event that is late: of a tenant or a trace that was deleted, or of a session or a user.

        `metadata` is a JSON object, or empty.
        """
        if not self._deleted:
            return None
        if self._deleted.refuses_all(tenant_id):
            return RefusedError(
                409,
                "all of this tenant was deleted, and its later events are refused",
                "An admin lets them in again: delete all of the tenant once more, with late=stored.",
            )
        trace_id = event.trace_id or (trace_id_of(tenant_id, event.dedup_key) if event.dedup_key else None)
        if trace_id is not None and self._deleted.refuses(tenant_id, trace_id):
            return RefusedError(
                409, "this trace was deleted, and late events of it are refused", "Publish to another trace."
            )
        if self._deleted.refuses_selections(tenant_id):
            return self._of_a_selection(tenant_id, event, _members(metadata) if metadata else {})
        return None

    def _of_a_selection(self, tenant_id: str, event: EventInput, named: dict[str, Raw]) -> RefusedError | None:
        """What the event names is looked up: the number of deletions costs nothing."""
        for name, field in SELECTIONS.items():
            own: str | None = getattr(event, field)
            for value in [own or "", *(_value(named[word]) for word in (name, field) if word in named)]:
                if self._deleted.refuses_selection(tenant_id, (name, value)):
                    what = f"the traces of {name} {value[:64]!r} were deleted, and events that name it are refused"
                    return RefusedError(409, what, f"Publish without this {name}, or delete it again with late=stored.")
        return None


def _value(found: Raw) -> str:
    """As the deletion looks for its traces: a text, or what JSON writes for another value."""
    raw = bytes(found)
    return _text(raw) if raw.startswith(b'"') else raw.decode()
