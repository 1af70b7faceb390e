"""One lease row in the log's own database, with an epoch that grows with every new holder.

The epoch is the fence: an append carries its caller's epoch and is refused once a newer one was granted, inside the
transaction that would write it. Belief about who leads is never enough.

Epoch 0 is that of tools and tests. It is good until the first lease of a log is granted and never after, so nothing
writes unfenced beside an operator. An epoch outlives its time-to-live until somebody else acquires the lease: nobody
else can have acted meanwhile.

All times are those of the database's clock; holders go by their own monotonic clock and stop before `ttl_seconds`.
"""

from datetime import datetime
from typing import Protocol

import msgspec


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A granted lease."""

    holder: str
    #: 1..n, one more with every acquisition.
    epoch: int
    ttl_seconds: float
    #: Clock of the database. Not to be compared with a local clock.
    expires_at: datetime


class LeaseStore(Protocol):
    """Where the lease is kept. All methods raise StoreUnavailableError if the store cannot be reached."""

    def acquire(self, holder: str, ttl_seconds: float) -> Lease | None:
        """The lease under a new epoch; None while somebody else's has not run out.

        `holder` names one process. Asked again by the holder itself (a restart under the same name), it is granted at
        once, under a new epoch, and the former process is fenced.
        """
        ...

    def renew(self, lease: Lease) -> Lease | None:
        """The lease, longer by its time-to-live; None once a newer epoch was granted: stop acting."""
        ...

    def release(self, lease: Lease) -> None:
        """Let it run out now, so that the next one need not wait. Does nothing if it is no longer held."""
        ...

    def current(self) -> Lease | None:
        """The newest lease, run out or not; None if there never was one."""
        ...


def check_lease_request(holder: str, ttl_seconds: float) -> None:
    """Raise ValueError unless the holder has a name (1..200 printable characters) and the lease some length."""
    if not holder.isprintable() or not 1 <= len(holder) <= 200:
        raise ValueError("a lease holder is named by 1 to 200 printable characters")
    if not 0 < ttl_seconds <= 86_400:
        raise ValueError(f"a lease lasts more than 0 and at most 86400 seconds, not {ttl_seconds}")
