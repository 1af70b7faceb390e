"""The lease row of a Postgres log, by the database's clock."""

from collections.abc import Callable
from typing import Any

from eventstore.lease import Lease, check_lease_request

Query = Callable[[str, tuple[object, ...]], list[tuple[Any, ...]]]


class PostgresLeaseStore:
    """`LeaseStore` in the log's database. `query` runs a statement in a transaction of its own."""

    def __init__(self, query: Query) -> None:
        self._query = query

    def acquire(self, holder: str, ttl_seconds: float) -> Lease | None:
        """See `LeaseStore.acquire`."""
        check_lease_request(holder, ttl_seconds)
        # Sent twice if the connection dies: then the first epoch was granted for nothing, which fences nobody else.
        rows = self._query("SELECT * FROM ledger_acquire_lease(%b, %b)", (holder, float(ttl_seconds)))
        if not rows:
            return None
        return Lease(holder=holder, epoch=rows[0][0], ttl_seconds=ttl_seconds, expires_at=rows[0][1])

    def renew(self, lease: Lease) -> Lease | None:
        """See `LeaseStore.renew`."""
        return self._extend(lease, lease.ttl_seconds)

    def release(self, lease: Lease) -> None:
        """See `LeaseStore.release`."""
        self._extend(lease, 0.0)

    def current(self) -> Lease | None:
        """See `LeaseStore.current`."""
        rows = self._query("SELECT holder, epoch, expires_at FROM leases WHERE name = 'operator'", ())
        if not rows:
            return None
        return Lease(holder=rows[0][0], epoch=rows[0][1], ttl_seconds=0, expires_at=rows[0][2])

    def _extend(self, lease: Lease, seconds: float) -> Lease | None:
        rows = self._query("SELECT * FROM ledger_extend_lease(%b, %b, %b)", (lease.holder, lease.epoch, float(seconds)))
        if not rows:
            return None
        return Lease(holder=lease.holder, epoch=lease.epoch, ttl_seconds=lease.ttl_seconds, expires_at=rows[0][0])
