"""The headers that say who asks, as they come: bytes, in lower case."""

from __future__ import annotations

EARLY_KEY = b"x-api-key"
RECENT_KEY = b"x-axonpush-api-key"
PUBLIC_TOKEN = b"x-public-token"
TENANT = b"x-tenant-id"
ORIGIN = b"origin"

Headers = dict[bytes, bytes]  # names in lower case
