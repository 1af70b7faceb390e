"""What a checker is: told of everything that happens, and raises when its invariant does not hold."""

from collections.abc import Iterable
from typing import ClassVar

import msgspec

from reconciler.shell.cluster import KubernetesObject
from sandbox.kinds import Kind
from simulator.facts import Appended, Facts, InvariantError
from simulator.ports import Call
from simulator.replica import Replica


class Written(msgspec.Struct, frozen=True):
    """A write that the cluster accepted."""

    #: Name of a replica, `kubectl`, `world`, ...
    writer: str
    kind: Kind
    before: KubernetesObject | None
    after: KubernetesObject | None

    @property
    def item(self) -> KubernetesObject:
        """The object, or what it was."""
        found = self.after if self.after is not None else self.before
        assert found is not None
        return found

    @property
    def title(self) -> str:
        """`Service/prod-loki`"""
        return f"{self.kind.kind}/{self.item['metadata']['name']}"


class Checker:
    """One invariant. Every method may be left as it is."""

    #: `S5`, `E1`: the number of the invariant.
    name: ClassVar[str] = ""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def fail(self, message: str) -> None:
        """The invariant does not hold.

        Raises:
            InvariantError: always.
        """
        raise InvariantError(self.name, message)

    def sent(self, replica: Replica, call: Call) -> None:
        """A replica calls a port; nothing has happened yet."""

    def wrote(self, written: Written) -> None:
        """An object of the cluster changed."""

    def appended(self, news: Appended) -> None:
        """An event came into the log."""

    def stepped(self, replicas: Iterable[Replica]) -> None:
        """Somebody did something, to the end."""

    def ended(self) -> None:
        """The run is over, the faults are too, and everything had its time."""
