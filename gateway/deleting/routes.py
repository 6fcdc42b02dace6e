"""DELETE /traces/{id}, and DELETE /traces by session, user or tenant: 202, for keys of the scope admin."""

from __future__ import annotations

from contextlib import suppress

from starlette.responses import Response
from typing_extensions import TypedDict

from axonstream.contract.deletion import Late
from axonstream.event_contract import MAX_NAME_BYTES
from axonstream.gateway.control.credentials import Identity
from axonstream.gateway.deleting.deletions import Deletions
from axonstream.gateway.deleting.late_events import SELECTIONS
from axonstream.gateway.http.errors import GatewayError, RefusedError
from axonstream.gateway.managing.routes import Managing, json_answer
from axonstream.gateway.reading.being_deleted import HEADER
from axonstream.gateway.reading.trace_queries import TraceQueries
from axonstream.gateway.reading.trace_reads import nothing_yet
from axonstream.gateway.reading.visibility import Visibility
from axonstream.gateway.routing.request import Request

MOST_TRACES_OF_A_REQUEST = 10_000
_LATE = "late"
_TENANT = "tenant"
DELETE_TRACE = (_LATE,)
DELETE_TRACES = (*SELECTIONS, _TENANT, _LATE)
# A number is written in JSON as its digits, a text in quotes: both are the value that a person names.
_TRACES_OF = {
    name: f"""SELECT DISTINCT trace_id FROM events_log WHERE tenant_id = {{tenant:String}}
AND ({column} = {{value:String}} OR (metadata != ''
  AND (JSONExtractString(metadata, '{name}') = {{value:String}}
    OR JSONExtractRaw(metadata, '{name}') = {{value:String}}
    OR JSONExtractString(metadata, '{column}') = {{value:String}}
    OR JSONExtractRaw(metadata, '{column}') = {{value:String}})))
LIMIT {{most:UInt64}}"""  # noqa: S608  constants only
    for name, column in SELECTIONS.items()
}


class DeletionAnswer(TypedDict):
    """What a deletion answers. `traces` is how many were named, null for all of the tenant; `late` is what becomes of
    events that are published from now on. `deletionIds` stand in the audit log."""

    ok: bool
    message: str
    status: str
    traces: int | None
    late: str
    deletionIds: list[str]


class Deleting:
    """The handlers. What exists is not told: a trace that nobody has is deleted, too, and answered alike."""

    def __init__(
        self,
        managing: Managing,
        deletions: Deletions,
        queries: TraceQueries,
        visibility: Visibility,
        late: Late,
    ) -> None:
        self._managing = managing
        self._deletions = deletions
        self._queries = queries
        self._visibility = visibility
        self._late = late

    async def trace(self, request: Request) -> Response:
        """DELETE /traces/{id}?late=refused|stored."""
        identity = request.identity
        self._managing.tenant(request)  # raises while the control data has not been read
        trace_id: str = request.path_params["trace_id"]
        if "\x00" in trace_id or not trace_id or len(trace_id.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
            raise RefusedError(404, "no trace can have this id", "Check the trace id.")
        before: dict[str, object] = {}
        with suppress(GatewayError):  # the deletion does not wait for ClickHouse
            figures = await self._queries.trace(identity.tenant_id, trace_id)
            before = {"events": 0 if figures is None else figures.event_count}
        return await self._delete(request, identity, [trace_id], self._late_of(request), f"trace {trace_id}", before)

    async def traces(self, request: Request) -> Response:
        """DELETE /traces?sessionId=, ?userId= or ?tenant=: exactly one of them."""
        identity = request.identity
        self._managing.tenant(request)  # raises while the control data has not been read
        query = request.query_params
        chosen = [name for name in (_TENANT, *SELECTIONS) if name in query]
        if len(chosen) != 1 or len(query.getlist(chosen[0])) != 1 or not query[chosen[0]]:
            raise RefusedError(
                400,
                "name exactly one of sessionId, userId and tenant",
                "A single trace is deleted with DELETE /traces/{id}.",
            )
        [name], value = chosen, query[chosen[0]]
        if name == _TENANT:
            return await self._everything(request, identity, value)
        before = self._deletions.chosen_before(identity.tenant_id, (name, value))
        trace_ids = sorted({*await self._traces_of(identity, name, value), *before})
        if not trace_ids:
            raise RefusedError(
                404,
                f"no event of this tenant has {name} {value[:64]!r}, itself or in its metadata",
                f"An event has it as its field {name}, or in its metadata as {name} or {SELECTIONS[name]}.",
            )
        late, subject = self._late_of(request), f"{name} {value}"
        return await self._delete(
            request, identity, trace_ids, late, subject, {"traces": len(trace_ids)}, (name, value)
        )

    async def _everything(self, request: Request, identity: Identity, value: str) -> Response:
        if value != identity.tenant_id:
            raise RefusedError(403, "the API key does not belong to this tenant", "Name the key's own tenant.")
        return await self._delete(request, identity, [], self._late_of(request), f"tenant {value}", {})

    async def _traces_of(self, identity: Identity, name: str, value: str) -> list[str]:
        """Of a session or a user, as their events or the metadata say. Raises when it cannot be said of all."""
        if len(value.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES or "\x00" in value:
            raise RefusedError(400, f"{name} must be 1 to {MAX_NAME_BYTES} bytes without NUL", f"Correct {name}.")
        if not (fresh := await self._visibility.of_everything()):
            raise nothing_yet(fresh)
        given = {"tenant": identity.tenant_id, "value": value, "most": MOST_TRACES_OF_A_REQUEST + 1}
        found = [row[0] for row in await self._queries.reads.rows(identity.tenant_id, _TRACES_OF[name], given)]
        if len(found) > MOST_TRACES_OF_A_REQUEST:
            raise RefusedError(
                409,
                f"more than {MOST_TRACES_OF_A_REQUEST} traces have this {name}",
                "Delete them by id, in parts, or all of the tenant.",
            )
        return found

    async def _delete(
        self,
        request: Request,
        identity: Identity,
        trace_ids: list[str],
        late: Late,
        subject: str,
        before: dict[str, object],
        selected: tuple[str, str] | None = None,
    ) -> Response:
        made = await self._deletions.delete(
            identity.tenant_id, trace_ids, late, request.actor, subject, before, selected
        )
        answer: DeletionAnswer = {
            "ok": True,
            "message": "deleted: nothing of it is shown from now on; ClickHouse deletes the rows in the background",
            "status": "deleting",
            "traces": len(trace_ids) or None,
            "late": str(late),
            "deletionIds": [str(deletion.id) for deletion in made],
        }
        response = json_answer(answer, 202)
        response.headers[HEADER] = "true"
        return response

    def _late_of(self, request: Request) -> Late:
        text = request.query_params.get(_LATE, str(self._late))
        if text not in list(Late):
            raise RefusedError(
                400, f"late must be refused or stored, not {text[:32]!r}", "Correct it, or leave it out."
            )
        return Late(text)
