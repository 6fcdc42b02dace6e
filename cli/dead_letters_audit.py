"""What the audit log says of dead letters that are about to be replayed or discarded.

The entry is written before anything is done, so no letter is ever decided on without one; a command that dies in
between leaves an entry of what it was about to do. Letters are of senders: their tenants are what the records claim.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from axonstream.cli.command_actor import command_actor
from axonstream.gateway.control.audit_entry import Action, AuditEntry, entry
from axonstream.sinks.dead_letters.store import LetterHead, Place

_MOST_NAMED = 20  # tenants and reasons of one entry
_MOST_TEXT = 120


def letters_entry(action: Action, heads: Sequence[LetterHead], state: str, now_ms: int) -> AuditEntry:
    """One entry for letters that one step decides on."""
    tenants = Counter(head.tenant_id[:_MOST_TEXT] for head in heads)
    reasons = Counter(head.reason[:_MOST_TEXT] for head in heads)
    before: dict[str, Any] = {
        "states": dict(Counter(head.state for head in heads)),
        "letters": list(_ranges([head.place for head in heads])),
        "tenants": dict(tenants.most_common(_MOST_NAMED)),
        "reasons": dict(reasons.most_common(_MOST_NAMED)),
    }
    subject = "1 dead letter" if len(heads) == 1 else f"{len(heads)} dead letters"
    return entry(
        command_actor(),
        action,
        subject,
        at=now_ms,
        before=before,
        after={"state": state},
        claimed_tenants=sorted(tenants),
    )


def _ranges(places: Sequence[Place]) -> list[str]:
    """`topic/partition@5-9,12`, and the epoch of a topic that was made anew."""
    named: list[str] = []
    for (topic, epoch, partition), group in groupby(sorted(places), key=lambda place: place[:3]):
        spans: list[list[int]] = []
        for place in group:
            if spans and place.offset <= spans[-1][1] + 1:
                spans[-1][1] = place.offset
            else:
                spans.append([place.offset, place.offset])
        offsets = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
        named.append(f"{topic}/{partition}@{offsets}" + (f" of epoch {epoch}" if epoch else ""))
    return named
