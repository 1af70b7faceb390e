"""What the oracles look at: everything that is known of a round when all rests."""

from collections.abc import Mapping
from typing import Any

import msgspec

from eventstore.envelope import RecordedEvent
from projections.state import PlatformState
from reconciler.shell.cluster import KubernetesObject
from tests.chaos.journal import Entry
from tests.chaos.recorder import Sighting
from tests.chaos.user import Incarnation
from tests.chaos.wishes import Wish


class Violation(msgspec.Struct, frozen=True):
    """Something that must not be."""

    oracle: str
    message: str

    def __str__(self) -> str:
        return f"{self.oracle}: {self.message}"


class Cluster(msgspec.Struct, frozen=True):
    """What is in the namespace."""

    #: Name -> platform.
    platforms: Mapping[str, KubernetesObject]
    #: `Kind/name` -> object, of every kind that the operator makes.
    objects: Mapping[str, KubernetesObject]
    claims: tuple[KubernetesObject, ...] = ()
    #: Names of the Events there are.
    announced: frozenset[str] = frozenset()


class Users(msgspec.Struct, frozen=True):
    """What people wanted and did."""

    wishes: Mapping[str, Wish]
    #: Uid -> platform from its creation to its end.
    incarnations: Mapping[str, Incarnation]
    #: Uids of what other people deleted.
    deleted_by_others: frozenset[str] = frozenset()


class Ledger(msgspec.Struct, frozen=True):
    """What was recorded, folded once more."""

    events: tuple[RecordedEvent, ...]
    states: Mapping[str, PlatformState]


class Facts(msgspec.Struct, frozen=True):
    """All of it."""

    cluster: Cluster
    users: Users
    ledger: Ledger
    #: Name -> (`Kind/name` -> content) of an undisturbed install of the same spec.
    undisturbed: Mapping[str, Mapping[str, str]]
    sightings: tuple[Sighting, ...]
    journal: tuple[Entry, ...]
    #: Where -> all that was written there.
    texts: Mapping[str, str]
    secrets: frozenset[str]
    #: Command -> exit code and output.
    commands: Mapping[str, tuple[int, str]]
    #: What was written or appended while all had to be silent.
    noise: tuple[str, ...] = ()
    #: What the probes of the replicas say; "" if all are well.
    unready: str = ""


def message_of(value: Any) -> str:
    """A value as a violation shows it."""
    text = str(value)
    return text if len(text) <= 400 else text[:400] + "..."
