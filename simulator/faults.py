"""What can go wrong at a call of a port, and how a list of such faults is written: `17:post,40:die-after`."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class FaultKind(StrEnum):
    """What happens at a call."""

    #: An error comes back, and nothing has happened.
    PRE = "pre"
    #: It took effect, and the caller sees an error.
    POST = "post"
    #: The process dies before the call takes effect, or after it did and before the answer came.
    DIE_BEFORE = "die-before"
    DIE_AFTER = "die-after"
    #: It dies before the call, and the lists its successor begins with are from before the last wish of the user.
    DIE_STALE = "die-stale"
    #: The process stands still before the call until another one has taken the lease and done all there is to do.
    TAKEOVER = "takeover"
    #: The same, after somebody changed the spec; and: another one has taken the lease and done nothing yet.
    TAKEOVER_EDIT = "takeover-edit"
    DEPOSE = "depose"
    #: A watch gets 410; hears nothing for 90 seconds; only what came last of each object; everything twice.
    GONE = "gone"
    SILENT = "silent"
    COALESCE = "coalesce"
    REPEAT = "repeat"
    #: From here on the database, or the API server, is away for five minutes.
    STORE_DOWN = "store-down"
    API_DOWN = "api-down"
    #: From here on the wall clock of this machine is half a minute behind, or ahead.
    CLOCK_BACK = "clock-back"
    CLOCK_FORWARD = "clock-forward"
    #: Before the call somebody changes the spec, deletes the resource, deletes, edits or replaces a child,
    #: or spoils the status.
    EDIT = "edit"
    DELETE = "delete"
    LOSE_CHILD = "lose-child"
    EDIT_CHILD = "edit-child"
    REPLACE_CHILD = "replace-child"
    SPOIL_STATUS = "spoil-status"


#: After these the run must be like the undisturbed one in all that was done, not only in where it ends.
SAME_DEEDS = frozenset(
    {
        FaultKind.PRE,
        FaultKind.POST,
        FaultKind.DIE_BEFORE,
        FaultKind.DIE_AFTER,
        FaultKind.TAKEOVER,
        FaultKind.DEPOSE,
        FaultKind.GONE,
        FaultKind.SILENT,
        FaultKind.COALESCE,
        FaultKind.REPEAT,
        FaultKind.SPOIL_STATUS,
    }
)
#: After these nobody can say what a stage comes to before the last wish.
OPEN_END = frozenset({FaultKind.DELETE, FaultKind.REPLACE_CHILD})


class Fault(msgspec.Struct, frozen=True, order=True):
    """One fault at one call; calls are counted from 1 through the whole run."""

    call: int
    kind: FaultKind

    def __str__(self) -> str:
        return f"{self.call}:{self.kind.value}"


class ProcessDiedError(BaseException):
    """The process of a replica ends here: no `except Exception` of its own can know."""


def parse_faults(text: str) -> tuple[Fault, ...]:
    """Read `17:post,40:die-after`.

    Raises:
        ValueError: it is not written like that.
    """
    parts = [part.partition(":") for part in text.split(",") if part]
    return tuple(Fault(int(call), FaultKind(kind)) for call, _, kind in parts)


def format_faults(faults: Iterable[Fault]) -> str:
    """`17:post,40:die-after`"""
    return ",".join(map(str, faults))
