"""The oracle: is every record of the log stored once, and does every summary equal its events? It changes nothing.

In the order of a run: log_state (what Kafka has and what the sink has committed), stored_offsets (gaps and doubles),
contents (each row against its record), summary_check (each summary against its recomputation), verify (all of it),
findings (what comes out).
"""

from __future__ import annotations

from axonstream.sinks.verification.findings import Finding, Kind, Verification
from axonstream.sinks.verification.verify import verify

__all__ = ["Finding", "Kind", "Verification", "verify"]
