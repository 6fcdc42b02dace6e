"""How a bounded number of things is shared by tenants. Plain state: no I/O, no clock."""

from __future__ import annotations

from collections import Counter


class Shares:
    """`total` things, of which one tenant that is alone may hold `per_tenant`, at least one.

    Beside others it may hold the same part of what they leave. So one tenant can use most, and two that take all they
    can leave room for a third, where there are five or more.
    """

    def __init__(self, total: int, per_tenant: int) -> None:
        self.total = total
        self.in_use = 0
        self._per_tenant = max(1, min(per_tenant, total))
        self._held: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        """Whether none is left for anybody."""
        return self.in_use >= self.total

    def most_of(self, tenant_id: str) -> int:
        """How many the tenant may hold as of now."""
        left = self.total - (self.in_use - self._held[tenant_id])
        return max(1, left * self._per_tenant // self.total)

    def has_room_for(self, tenant_id: str) -> bool:
        """Whether the tenant may take one more."""
        return not self.full and self._held[tenant_id] < self.most_of(tenant_id)

    def take(self, tenant_id: str) -> None:
        """One for the tenant; ask `has_room_for` before."""
        self._held[tenant_id] += 1
        self.in_use += 1

    def give_back(self, tenant_id: str) -> None:
        """One less for the tenant."""
        self._held[tenant_id] -= 1
        self.in_use -= 1
        if not self._held[tenant_id]:
            del self._held[tenant_id]
