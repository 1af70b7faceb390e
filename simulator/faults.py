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
    #: The row of the lease is overwritten in favour of somebody who does nothing. And: somebody changes the spec and
    #: another process takes the lease and acts, all before this one's own clock can tell it that its time is over.
    STEAL = "steal"
    USURP = "usurp"
    #: It dies before the call, and its successor is of another build with another policy.
    OTHER_BUILD = "other-build"
    #: A watch gets 410; hears nothing for 90 seconds; only what came last of each object; everything twice.
    GONE = "gone"
    SILENT = "silent"
    COALESCE = "coalesce"
    REPEAT = "repeat"
    #: It gets 410 twice in a row; its body raises what no watch raises; its events come in another order; the last
    #: fifty come again; they are never told, and only the next list shows what they were about.
    GONE_TWICE = "gone-twice"
    WATCH_BUG = "watch-bug"
    REORDER = "reorder"
    REPLAY = "replay"
    LOSE_EVENTS = "lose-events"
    #: The server answers with one of the errors of a bad day, another one at each call.
    ODD_ANSWER = "odd-answer"
    #: Three times in a row somebody else was faster: 409, or a conflict in the log.
    CONFLICTS = "conflicts"
    #: From here on this verb on this kind is forbidden for five minutes.
    FORBIDDEN = "forbidden"
    #: The call takes effect and does not come back for a minute and a half, while the rest of the process goes on.
    HANG = "hang"
    #: From here on the database, or the API server, is away for five minutes.
    STORE_DOWN = "store-down"
    API_DOWN = "api-down"
    #: The cluster goes back to a backup from before the last wish of the user, resourceVersions and all.
    RESTORED = "restored"
    #: From here on the wall clock of this machine is half a minute behind, or ahead; an hour behind; ten years ahead.
    CLOCK_BACK = "clock-back"
    CLOCK_FORWARD = "clock-forward"
    CLOCK_HOUR_BACK = "clock-hour-back"
    CLOCK_YEARS_AHEAD = "clock-years-ahead"
    #: Before the call somebody changes the spec, deletes the resource, deletes, edits or replaces a child,
    #: or spoils the status.
    EDIT = "edit"
    DELETE = "delete"
    LOSE_CHILD = "lose-child"
    EDIT_CHILD = "edit-child"
    REPLACE_CHILD = "replace-child"
    SPOIL_STATUS = "spoil-status"
    #: Before the call somebody deletes the namespace; it is made again later.
    END_NAMESPACE = "end-namespace"
    #: From here on somebody edits this object again after each of our writes to it, four times.
    FIGHT = "fight"


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
        FaultKind.STEAL,
        FaultKind.OTHER_BUILD,
        FaultKind.GONE_TWICE,
        FaultKind.WATCH_BUG,
        FaultKind.REORDER,
        FaultKind.REPLAY,
        FaultKind.ODD_ANSWER,
        FaultKind.CONFLICTS,
    }
)
#: The same, of one of these in a run: where several come together, deadlines of the operator's pass.
SAME_DEEDS_ONCE = frozenset(
    {
        FaultKind.DIE_STALE,
        FaultKind.STORE_DOWN,
        FaultKind.API_DOWN,
        FaultKind.HANG,
        FaultKind.FORBIDDEN,
        FaultKind.CLOCK_BACK,
        FaultKind.CLOCK_FORWARD,
        FaultKind.CLOCK_HOUR_BACK,
    }
)
#: After these nobody can say what a stage comes to before the last wish.
OPEN_END = frozenset(
    {
        FaultKind.DELETE,
        FaultKind.REPLACE_CHILD,
        FaultKind.END_NAMESPACE,
        FaultKind.RESTORED,
        # Every deadline is over all at once; or nobody hears that something was done in time.
        FaultKind.CLOCK_YEARS_AHEAD,
        FaultKind.LOSE_EVENTS,
    }
)
#: What these made fail is tried again when somebody asks for it.
ASKED_AGAIN = frozenset({FaultKind.REPLACE_CHILD, FaultKind.CLOCK_YEARS_AHEAD, FaultKind.LOSE_EVENTS})
#: These touch children; Secrets are not watched, so a hand on one of them is noticed with a resync.
ON_CHILDREN = frozenset({FaultKind.EDIT_CHILD, FaultKind.LOSE_CHILD, FaultKind.REPLACE_CHILD, FaultKind.FIGHT})
#: Something does not answer, or not well, for a while.
OUTAGES = frozenset({FaultKind.STORE_DOWN, FaultKind.API_DOWN, FaultKind.FORBIDDEN, FaultKind.HANG})


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
