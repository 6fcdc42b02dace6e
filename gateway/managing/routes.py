"""What the management calls share: which object the path names, and how a change is made.

A change is answered once it has been read back from the control topic, and the last change of an object wins. An
object that is not found is looked for again after catching up with the topic: another gateway may have made it just
now. Without Kafka reads are answered from memory, changes and what is not there with 503.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, TypeVar

import orjson
from starlette.responses import Response

from axonstream.event_contract import MAX_EVENT_BYTES, MAX_ID
from axonstream.gateway.control.audit_entry import Action, entry
from axonstream.gateway.control.credentials import ApiVersion, Identity
from axonstream.gateway.control.data import Tenant
from axonstream.gateway.control.log import Control, not_caught_up
from axonstream.gateway.control.records import ControlRecord
from axonstream.gateway.http.errors import RefusedError, UnavailableError
from axonstream.gateway.managing.answers import DoneAnswer
from axonstream.gateway.managing.inputs import Input, read_input
from axonstream.gateway.routing.request import Request

T = TypeVar("T")

_MOST_DIGITS = 19


class Managing:
    """Handed to the handlers of apps, channels and webhook endpoints; `clock` gives ms since 1970."""

    def __init__(self, control: Control, clock: Callable[[], int]) -> None:
        self._control = control
        self.clock = clock

    def tenant(self, request: Request) -> Tenant:
        """What the tenant that asks has. Raises UnavailableError while the control data has not been read."""
        if not self._control.data.loaded:
            raise UnavailableError("the control data has not been read from Kafka yet", "Send the request again.")
        return self._control.data.tenant(request.identity.tenant_id)

    async def input(self, request: Request, form: type[Input]) -> Input:
        """The body, as the form says."""
        with closing(request.body) as body:
            sent = await body.read(MAX_EVENT_BYTES, request.identity.tenant_id)
            return read_input(await body.content(sent, MAX_EVENT_BYTES), form)

    async def named(self, request: Request, what: str, find: Callable[[int], T | None]) -> T:
        """What the path names as `{what}_id`. Raises RefusedError 404, the same for another tenant's."""
        text: str = request.path_params[f"{what}_id"]
        number = int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else MAX_ID + 1
        found = await self.found(number, find)
        if number > MAX_ID or found is None:
            raise RefusedError(
                404, f"there is no such {what}", f"Check the id, and that the key is of the {what}'s tenant."
            )
        return found

    async def referred(self, number: int, what: str, find: Callable[[int], T | None]) -> T:
        """What a body names as `{what}Id`. Raises RefusedError 400."""
        found = await self.found(number, find)
        if found is None:
            raise RefusedError(400, f"{what}Id {number} is no {what} of this tenant", f"Name a {what} that exists.")
        return found

    async def found(self, number: int, find: Callable[[int], T | None]) -> T | None:
        """None when it is nowhere. Raises UnavailableError when that cannot be said."""
        if (found := find(number)) is None:
            caught_up = await self._control.catch_up()
            found = find(number)
            if found is None and not caught_up:
                raise not_caught_up()
        return found

    async def change(
        self,
        request: Request,
        action: Action,
        subject: str,
        records: Sequence[ControlRecord],
        *,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
    ) -> None:
        """Write the records and who changed what. Raises UnavailableError when Kafka does not acknowledge in time."""
        made = entry(
            request.actor,
            action,
            subject,
            at=self.clock(),
            tenant_id=request.identity.tenant_id,
            before=before,
            after=after,
        )
        await self._control.write(records, made)


def json_answer(contents: object, status: int = 200) -> Response:
    return Response(orjson.dumps(contents), status, media_type="application/json")


def listed(rows: Sequence[object], name: str, identity: Identity) -> Response:
    """A bare array for v0 clients, wrapped as `name` for v1 clients."""
    return json_answer(rows if identity.generation is ApiVersion.V0 else {name: rows})


def done(message: str) -> Response:
    answer: DoneAnswer = {"ok": True, "message": message}
    return json_answer(answer)


def limit_reached(what: str, most: int) -> RefusedError:
    """409: the tenant has as many as it may."""
    return RefusedError(409, f"the tenant has {most} {what} already", f"Delete {what} that are not used.")


def built_in(what: str) -> RefusedError:
    """409: it exists from the start and for good."""
    return RefusedError(409, f"this {what} is there from the start and cannot be deleted", "It can be renamed.")


def records_gone(places: Sequence[Any]) -> list[ControlRecord]:
    return [ControlRecord(place, None) for place in places]
