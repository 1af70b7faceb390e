"""Runs that begin where another one has come to: up to its first fault, a run is the undisturbed one.

So nobody tells the beginning again and again. One process goes through the undisturbed run, and at each call that a
fault is to hit, a copy of the process goes on with that fault. What comes of it is the very run from the beginning.
"""

import gc
import os
import pickle
import selectors
import signal
import sys
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress

import msgspec

from simulator.faults import Fault
from simulator.ports import Call
from simulator.scheduler import Simulation
from tests.simulation.exhaustive import can_be_at
from tests.simulation.runs import Run, Violation, command_of, run
from tests.simulation.shrinking import shrink
from tests.simulation.workloads import WORKLOADS

Faults = tuple[Fault, ...]
#: A run that takes longer hangs; one that failed is made several times more, with fewer faults.
_SECONDS_MAX = 120


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a run."""

    workload: str
    seed: int
    faults: Faults
    violation: Violation | None
    calls: int = 0
    steps: int = 0
    #: Virtual ones.
    seconds: float = 0.0
    digest: str = ""

    @property
    def command(self) -> str:
        """What repeats it, from the beginning."""
        return command_of(self.workload, self.seed, self.faults)


def told_of(found: Run) -> Told:
    """A run in short."""
    return Told(
        workload=found.workload,
        seed=found.seed,
        faults=found.faults,
        violation=found.violation,
        calls=found.calls_total,
        steps=found.steps,
        seconds=found.seconds,
        digest=found.digest,
    )


def walk(reference: Run, plans: Iterable[Faults], *, take: Callable[[Told], None], processes: int = 2) -> None:
    """Make the same run with each list of faults, so many at a time; `take` hears of each as soon as it is over.

    The first fault of a list comes at its very call, each other one at the first call from its own on where it can be.
    """
    workload, seed = reference.workload, reference.seed
    at_call: dict[int, list[Faults]] = defaultdict(list)
    for faults in plans:
        at_call[faults[0].call].append(faults)
    copies = _Copies(processes, lambda faults: Told(workload=workload, seed=seed, faults=faults, violation=None), take)

    def on_call(simulation: Simulation, call: Call) -> None:
        for faults in at_call.get(call.index, ()):
            if copies.is_copy(faults):
                simulation.mischief.add(faults[0])
                simulation.on_call = _Later(simulation, faults[1:]) if faults[1:] else None
                return

    try:
        found = run(WORKLOADS[workload], seed=seed, reference=reference, on_call=on_call)
        if copies.tells:
            copies.tell(told_of(shrink(found) if found.violation is not None else found))
    except BaseException:
        if copies.tells:
            copies.tell(traceback.format_exc())
        raise
    copies.wait_for_all()


class _Later:
    """Puts further faults to the first calls, from theirs on, at which they can be."""

    def __init__(self, simulation: Simulation, faults: Faults) -> None:
        self._simulation, self._left = simulation, list(faults)

    def __call__(self, call: Call) -> None:
        for fault in self._left:
            if call.index >= fault.call and can_be_at(call, fault.kind):
                self._left.remove(fault)
                self._simulation.mischief.add(Fault(call.index, fault.kind))
                return


class _Copies:
    """Copies of this process, each of which tells one thing and ends."""

    def __init__(self, processes: int, empty: Callable[[Faults], Told], take: Callable[[Told], None]) -> None:
        if processes < 1:
            raise ValueError(f"{processes} processes make no run")
        self._processes, self._empty, self._take = processes, empty, take
        self._selector = selectors.DefaultSelector()
        self._writing = -1
        gc.collect()

    @property
    def tells(self) -> bool:
        """Whether this process is a copy."""
        return self._writing >= 0

    def is_copy(self, faults: Faults) -> bool:
        """Copy this process once there is room for one more; True in the copy."""
        while len(self._selector.get_map()) >= self._processes:
            self._listen()
        reading, writing = os.pipe()
        sys.stdout.flush()
        with warnings.catch_warnings():
            # Newer Pythons warn of threads; what those of a test runner hold, a copy never asks for.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if process:
            os.close(writing)
            self._selector.register(reading, selectors.EVENT_READ, (process, faults, bytearray()))
            return False
        self._writing = writing
        # Neither looked through nor tidied up: it lives for a moment only.
        gc.disable()
        signal.alarm(_SECONDS_MAX)
        return True

    def tell(self, what: Told | str) -> None:
        """The last deed of a copy."""
        with open(self._writing, "wb") as pipe:
            pickle.dump(what, pipe)
        os._exit(0)

    def wait_for_all(self) -> None:
        """Listen until every copy has ended."""
        while self._selector.get_map():
            self._listen()
        self._selector.close()

    def _listen(self) -> None:
        for key, _ in self._selector.select():
            process, faults, said = key.data
            news = os.read(key.fd, 1 << 20)
            said += news
            if not news:
                self._selector.unregister(key.fd)
                os.close(key.fd)
                os.waitpid(process, 0)
                self._take(self._understood(faults, bytes(said)))

    def _understood(self, faults: Faults, said: bytes) -> Told:
        what: Told | str = f"it did not end within {_SECONDS_MAX} s"
        with suppress(EOFError, pickle.UnpicklingError):
            what = pickle.loads(said)
        if isinstance(what, Told):
            return what
        return msgspec.structs.replace(self._empty(faults), violation=Violation("simulator", what))
