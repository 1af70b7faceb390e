"""The lease row of a SQLite log. One machine, one clock: the database's clock is the machine's."""

import sqlite3
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from eventstore.clock import Clock
from eventstore.instants import from_microseconds, to_microseconds
from eventstore.lease import Lease, check_lease_request

Result = TypeVar("Result")

_ACQUIRE = (
    "INSERT INTO leases AS l (name, holder, epoch, expires_at) VALUES ('operator', ?, 1, ?)"
    " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, epoch = l.epoch + 1, expires_at = excluded.expires_at"
    " WHERE l.holder = excluded.holder OR l.expires_at <= ? RETURNING epoch, expires_at"
)
_EXTEND = (
    "UPDATE leases SET expires_at = ? WHERE name = 'operator' AND holder = ? AND epoch = ? RETURNING epoch, expires_at"
)
_CURRENT = "SELECT holder, epoch, expires_at FROM leases WHERE name = 'operator'"


class Transact(Protocol):
    """Runs work in a write transaction of its own."""

    def __call__(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """The result of the work, committed."""
        ...


class SqliteLeaseStore:
    """`LeaseStore` in the log's file."""

    def __init__(self, transact: Transact, clock: Clock) -> None:
        self._transact = transact
        self._clock = clock

    def acquire(self, holder: str, ttl_seconds: float) -> Lease | None:
        """See `LeaseStore.acquire`."""
        check_lease_request(holder, ttl_seconds)

        def take(writer: sqlite3.Connection) -> Any:
            # Asked for after the lock was got: waiting for it must not shorten the lease.
            now = to_microseconds(self._clock())
            return _one(writer, _ACQUIRE, (holder, now + int(ttl_seconds * 1e6), now))

        return _lease(holder, ttl_seconds, self._transact(take))

    def renew(self, lease: Lease) -> Lease | None:
        """See `LeaseStore.renew`."""
        return self._extend(lease, lease.ttl_seconds)

    def release(self, lease: Lease) -> None:
        """See `LeaseStore.release`."""
        self._extend(lease, 0)

    def current(self) -> Lease | None:
        """See `LeaseStore.current`."""
        row = self._transact(lambda connection: _one(connection, _CURRENT, ()))
        return _lease(row[0], 0, row[1:]) if row else None

    def _extend(self, lease: Lease, seconds: float) -> Lease | None:
        def extend(writer: sqlite3.Connection) -> Any:
            until = to_microseconds(self._clock()) + int(seconds * 1e6)
            return _one(writer, _EXTEND, (until, lease.holder, lease.epoch))

        return _lease(lease.holder, lease.ttl_seconds, self._transact(extend))


def _one(connection: sqlite3.Connection, statement: str, parameters: tuple[object, ...]) -> Any:
    # fetchall, not fetchone: a RETURNING statement that is not read to its end stays open.
    rows = connection.execute(statement, parameters).fetchall()
    return rows[0] if rows else None


def _lease(holder: str, ttl_seconds: float, row: Any) -> Lease | None:
    if row is None:
        return None
    return Lease(holder=holder, epoch=row[0], ttl_seconds=ttl_seconds, expires_at=from_microseconds(row[1]))
