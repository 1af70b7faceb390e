"""The operators: processes that are killed and held still, started again, and watched for ends of their own."""

import contextlib
import os
import signal
import threading
from pathlib import Path

from tests.chaos.journal import Journal
from tests.chaos.server import Undo
from tests.cluster.process import QUICK, OperatorProcess

#: Besides QUICK: teardown has the time that storms cost it, and a hung tick is noticed soon.
SETTINGS = QUICK | {
    "TEARDOWN_DEADLINE_SECONDS": "900",
    "TICK_LIMIT_SECONDS": "20",
    "LOG_LEVEL": "info",
}
LEASE_SECONDS = float(SETTINGS["LEASE_TTL_SECONDS"])
#: A process that is asked to end before it listens for that ends by the signal.
_YOUNG_SECONDS = 10.0
#: The kubelet's patience with a red /healthz: three times, ten seconds apart.
_PROBE_SECONDS, _PROBES_MAX = 10.0, 3
#: How long one may take to end that is asked to.
_END_SECONDS = 40.0


class Replica(OperatorProcess):
    """One operator, and whether it is us who ended it."""

    def __init__(self, directory: Path, environment: dict[str, str], name: str) -> None:
        super().__init__(directory, environment, name)
        #: True while it is meant to be down.
        self.down = True
        self.started_at = 0.0
        self.stopped = False
        #: Probes in a row that found it dead.
        self.failed_probes = 0


class Replicas:
    """Keeps them running, but for what chaos asks for."""

    faults = frozenset({"operator-kill", "operator-stop", "operator-term", "operators-kill"})

    def __init__(self, directory: Path, environment: dict[str, str], namespaces: tuple[str, ...], count: int) -> None:
        settings = SETTINGS | {"NAMESPACES": ",".join(namespaces)}
        environment = {**environment, **{f"STACKLEDGER_{key}": value for key, value in settings.items()}}
        # Asked to abort, it writes down where each of its threads is.
        environment["PYTHONFAULTHANDLER"] = "1"
        self.all = [Replica(directory, environment, f"operator-{number}") for number in range(count)]
        self._lock = threading.Lock()
        self._probed_at = 0.0

    def start(self, journal: Journal) -> None:
        """Start all; does not wait until they are ready."""
        self._journal = journal
        for one in self.all:
            self._start(one)

    def _start(self, one: Replica) -> None:
        with self._lock:
            if not one.alive:
                one.start()
                one.started_at, one.failed_probes = self._journal.seconds(), 0
            one.down = False

    def supervise(self) -> None:
        """Note those that ended by themselves, and start them again."""
        for one in self.all:
            with self._lock:
                ended = not one.down and not one.alive
                code = one._process.poll() if ended and one._process else None
            if ended:
                self._journal.write("operator", "ended-by-itself", name=one.name, code=code, tail=one.tail(15))
                self._start(one)
        if self._journal.seconds() - self._probed_at >= _PROBE_SECONDS:
            self._probed_at = self._journal.seconds()
            self._probe()

    def _probe(self) -> None:
        """As the kubelet does: who says that it is not alive, or says nothing, is started again."""
        for one in self.all:
            if one.down or one.stopped:
                continue
            why = one.unhealth()
            one.failed_probes = one.failed_probes + 1 if why else 0
            if one.failed_probes >= _PROBES_MAX:
                self._journal.write("operator", "restarted-by-its-probe", name=one.name, why=why[:500])
                self._kill(one)
                self._start(one)

    # -- faults ----------------------------------------------------------------------------------------------------

    def fault(self, kind: str, choice: int) -> Undo:
        """Let something happen to one of them, or all; what ends it."""
        one = self.all[choice % len(self.all)]
        if kind == "operators-kill":
            for each in self.all:
                self._kill(each)
            return self.heal
        if kind == "operator-kill":
            self._kill(one)
            return lambda: self._start(one)
        if kind == "operator-term":
            threading.Thread(target=self._terminate, args=(one,), daemon=True).start()
            return lambda: None
        self._hold(one)
        return lambda: self._let_go(one)

    def _hold(self, one: Replica) -> None:
        self._signal(one, signal.SIGSTOP)
        one.stopped = True

    def _let_go(self, one: Replica) -> None:
        self._signal(one, signal.SIGCONT)
        one.stopped = False

    def heal(self) -> None:
        """All of them run."""
        for one in self.all:
            self._let_go(one)
        for one in self.all:
            if not one.alive:
                self._start(one)

    def _kill(self, one: Replica) -> None:
        with self._lock:
            one.down = True
            one.kill()

    def _terminate(self, one: Replica) -> None:
        """Ended as the kubelet does it, and started again."""
        with self._lock:
            if one.down or not one.alive:
                return
            one.down = True
            age = self._journal.seconds() - one.started_at
            process = one._process
        assert process is not None
        self._let_go(one)
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_END_SECONDS)
        except Exception:  # it does not end
            self._journal.write("operator", "did-not-end", name=one.name, tail=one.tail(15))
            process.kill()
            process.wait(10)
            code = 0
        # Somebody else may have killed it meanwhile.
        expected = {0, -signal.SIGKILL} | ({-signal.SIGTERM} if age < _YOUNG_SECONDS else set())
        if code not in expected:
            self._journal.write("operator", "ended-badly", name=one.name, code=code, tail=one.tail(15))
        self._start(one)

    def _signal(self, one: Replica, number: int) -> None:
        if one.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, number)

    # -- the end ---------------------------------------------------------------------------------------------------

    def unready(self) -> str:
        """What /readyz and /healthz of all of them say; "" if all are well."""
        found = [f"{one.name}: {why}" for one in self.all if (why := one.unreadiness() or one.unhealth())]
        return "; ".join(found)

    def dump(self) -> None:
        """End all of them with a list of where each thread was, in their logs."""
        for one in self.all:
            with self._lock:
                one.down = True
                self._signal(one, signal.SIGABRT)
                if one._process is not None:
                    one._process.wait(10)

    def close(self) -> None:
        """Kill all of them."""
        for one in self.all:
            with self._lock:
                one.down = True
                self._signal(one, signal.SIGCONT)
                one.kill()
