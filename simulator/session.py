"""A session by hand: one cluster, one ledger and the operator, on virtual time, moved by one wish after the other.

The same wishes from the same seed make the same session, event for event: that is what makes undo simple and true.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from simulator.checking import Checker
from simulator.facts import Facts
from simulator.faults import FaultKind
from simulator.interference import interfere
from simulator.quiet import silent_logs
from simulator.replica import Replica
from simulator.scheduler import Simulation, Step
from simulator.session_hands import Hands, RefusedError
from simulator.session_trouble import Order, Trouble
from simulator.universe import Universe

#: The first process of the operator.
FIRST_REPLICA = "replica-0"
_ENDLESS = float("inf")
#: What takes too many steps within so long is a hot loop.
_SLICE_SECONDS = 3600.0


class Session:
    """What a user of the simulator has before him. Every method is a wish; nothing moves but in `wait` and `step`."""

    def __init__(self, seed: int = 0, checkers: Iterable[Callable[[Facts], Checker]] = ()) -> None:
        self.seed = seed
        self.universe = Universe(seed)
        self.simulation = Simulation(self.universe, seed=seed, checkers=checkers)
        self.hands = Hands(self.universe)
        self.trouble = Trouble(self.simulation)
        #: Revision of the cluster that was put by; 0: none was.
        self._backup = 0
        self.simulation.start(FIRST_REPLICA)

    @contextmanager
    def _moving(self) -> Iterator[None]:
        # A session may last for days.
        self.simulation.steps = 0
        if self._is_anybody_kept():
            self.universe.trouble_until = _ENDLESS
        elif self.universe.trouble_until == _ENDLESS:
            self.universe.trouble_until = self.universe.clock.monotonic()
        with silent_logs():
            yield

    def _is_anybody_kept(self) -> bool:
        """Whether somebody is kept from what he has to do until he is let: nobody may count his delay."""
        replicas = self.simulation.replicas
        return bool(self.trouble.away or self.trouble.denied) or not replicas or any(one.stalled for one in replicas)

    # -- time ------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let so much time pass, or until it is so; whether it came to that."""
        clock = self.universe.clock
        ends = clock.monotonic() + seconds
        while True:
            with self._moving():
                if self.simulation.wait(min(_SLICE_SECONDS, ends - clock.monotonic()), until):
                    return True
            if clock.monotonic() >= ends:
                return False

    def step(self) -> Step | None:
        """Let one thing happen: the next that is due."""
        with self._moving():
            return self.simulation.step()

    # -- the whole cluster -----------------------------------------------------------------------------------------

    def back_up(self) -> None:
        """Put the cluster by, as a snapshot of etcd does."""
        self._backup = self.universe.model.store.revision

    def restore(self) -> None:
        """Put the backup back, resourceVersions and all; every connection is cut.

        Raises:
            LookupError: there is none.
        """
        if not self._backup:
            raise LookupError("there is no backup: `backup` makes one")
        self.universe.restore(self._backup)
        for replica in self.simulation.replicas:
            for kind in replica.cut_watches():
                self.trouble.orders.append(Order(verb="watch", what=kind, how=FaultKind.PRE))

    def somebody(self, deed: FaultKind) -> None:
        """Somebody does something to every platform."""
        interfere(deed, self.universe)

    # -- processes -------------------------------------------------------------------------------------------------

    def replica(self, name: str = "") -> Replica:
        """The process of that name; without one, the leader, or else the first there is.

        Raises:
            LookupError: there is none.
        """
        living = self.simulation.replicas
        if name:
            found = next((one for one in living if one.name == name), None)
        else:
            found = next((one for one in living if one.leads() and not one.stalled), next(iter(living), None))
        if found is None:
            names = ", ".join(one.name for one in living) or "none"
            raise LookupError(f"{name or 'no process of the operator'} is not running; running: {names}")
        return found

    def start(self, name: str) -> None:
        """Start one more process.

        Raises:
            RefusedError: it runs already.
        """
        if any(one.name == name for one in self.simulation.replicas):
            raise RefusedError(f"{name} runs already")
        self.simulation.start(name)

    def crash(self, name: str = "") -> str:
        """Kill a process, which is started again a second later; its name."""
        replica = self.replica(name)
        self.simulation.kill(replica)
        return replica.name

    def stop(self, name: str = "") -> str:
        """Kill a process that nobody starts again; its name."""
        replica = self.replica(name)
        self.simulation.stop(replica)
        return replica.name

    def freeze(self, name: str = "") -> str:
        """Let a process stand still without knowing; its name."""
        replica = self.replica(name)
        replica.stalled, replica.slept_at = True, len(self.simulation.calls)
        return replica.name

    def thaw(self, name: str = "") -> str:
        """Let a process go on that stood still; its name."""
        frozen = [one for one in self.simulation.replicas if one.stalled and name in ("", one.name)]
        if not frozen:
            raise LookupError(f"{name or 'no process'} stands still")
        frozen[0].stalled = False
        return frozen[0].name

    def set_clock(self, seconds: float, name: str = "") -> str:
        """Move the wall clock of a process's machine; its name."""
        replica = self.replica(name)
        replica.clock.wrong_by_seconds += seconds
        return replica.name
