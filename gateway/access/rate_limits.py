"""How often a key, and a tenant, may ask: token buckets, of this gateway alone.

Each of several gateways has buckets of its own, so behind a load balancer the limit is that of a gateway times their
number. A request takes one token, a bulk request one for each of its events: it is taken whole when there is a token
for the request itself, and what it took beyond the bucket is waited for before the next request.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from axonstream.gateway.control.credentials import Credential
from axonstream.gateway.control.token_bucket import TokenBucket
from axonstream.gateway.http.errors import RateLimitedError


class RateLimits:
    """`per_key` and `per_tenant` are requests a second, 0 for any number; `clock` gives seconds that never go back.

    Memory is bounded by the keys there are: a key's bucket goes with its credential.
    """

    def __init__(self, per_key: float, per_tenant: float, burst_s: float, clock: Callable[[], float]) -> None:
        self._per_key = per_key
        self._per_tenant = per_tenant
        self._burst_s = burst_s
        self._clock = clock
        self.refused = {"key": 0, "tenant": 0}
        self._tenants: dict[bytes, TokenBucket] = {}

    @property
    def on(self) -> bool:
        return self._per_key > 0 or self._per_tenant > 0

    def take(self, credential: Credential) -> None:
        """One token of the key and one of its tenant, or none of both. Raises RateLimitedError."""
        now, buckets = self._clock(), self._buckets(credential)
        for what, bucket in buckets:
            if (wait := bucket.wait_s(now)) > 0:
                self.refused[what] += 1
                raise RateLimitedError(
                    f"this {what} has asked too often", "Ask again after Retry-After seconds.", math.ceil(wait)
                )
        for _, bucket in buckets:
            bucket.take(1)

    def take_more(self, credential: Credential, number: int) -> None:
        """Of a request that has taken its one: never refused, waited for by the next."""
        for _, bucket in self._buckets(credential):
            bucket.take(number)

    def _buckets(self, credential: Credential) -> list[tuple[str, TokenBucket]]:
        buckets: list[tuple[str, TokenBucket]] = []
        if self._per_key > 0:
            if credential.bucket is None:
                credential.bucket = self._new(self._per_key)
            buckets.append(("key", credential.bucket))
        if self._per_tenant > 0:
            of_tenant = self._tenants.get(credential.tenant)
            if of_tenant is None:
                of_tenant = self._tenants[credential.tenant] = self._new(self._per_tenant)
            buckets.append(("tenant", of_tenant))
        return buckets

    def _new(self, per_s: float) -> TokenBucket:
        return TokenBucket(per_s, max(1.0, per_s * self._burst_s), self._clock())
