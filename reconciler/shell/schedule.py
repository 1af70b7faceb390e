"""What happens by the clock: due work, resync, projections, Kubernetes Events. A few fixed jobs of APScheduler.

The work itself is in the log's projection; a tick only looks. So a missed tick costs a second, never a deadline.
"""

import threading
from collections.abc import Callable

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from reconciler.shell.redaction import describe_error

_log = structlog.get_logger(__name__)


#: The job whose end is the heartbeat.
HEARTBEAT = "tick"


class Schedule:
    """Runs each job at its interval, never twice at once, and outlives whatever a job raises."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        # A tick that comes late is run once, however late (the default would drop it after a second).
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._ticked_at = monotonic()
        self._failing: dict[str, str] = {}
        self._lock = threading.Lock()

    def every(self, seconds: float, name: str, job: Callable[[], object]) -> None:
        """Run `job` at this interval."""
        self._scheduler.add_job(lambda: self._run(name, job), "interval", seconds=seconds, id=name)

    def start(self) -> None:
        """Begin."""
        self._ticked_at = self._monotonic()
        self._scheduler.start()

    def stop(self) -> None:
        """End; a job in progress is not waited for."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def age_seconds(self) -> float:
        """Since the tick last ran to its end: the heartbeat. Never trust a scheduler's own `running`."""
        return self._monotonic() - self._ticked_at

    def problems(self) -> dict[str, str]:
        """Job -> why its last run failed."""
        with self._lock:
            return dict(self._failing)

    def _run(self, name: str, job: Callable[[], object]) -> None:
        try:
            job()
        except Exception as error:  # the next run may do better; the scheduler would only print it
            self._note(name, describe_error(error))
        else:
            self._note(name, "")
        if name == HEARTBEAT:
            self._ticked_at = self._monotonic()

    def _note(self, name: str, problem: str) -> None:
        with self._lock:
            before = self._failing.pop(name, "")
            if problem:
                self._failing[name] = problem
        if problem != before:
            (_log.warning if problem else _log.info)("job", job=name, problem=problem)
