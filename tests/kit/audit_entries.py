"""An entry of the audit log for a test that is about something else."""

from __future__ import annotations

from axonstream.gateway.control.audit_entry import Action, Actor, AuditEntry, entry


def an_entry(tenant_id: str = "1", action: Action = Action.APP_CREATE, at: int = 5) -> AuditEntry:
    return entry(Actor("a test", "here"), action, "a thing of a test", at=at, tenant_id=tenant_id)
