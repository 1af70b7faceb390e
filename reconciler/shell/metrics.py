"""Every metric of the operator, in a registry of its own.

The four of docs/state-machine.md under exactly their names; queue, reconcile and client metrics as controller-runtime
and client-go name and label them, so that existing dashboards fit. No label holds words that a user can choose but
namespace and name; the series of a deleted platform go with it.
"""

import re
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from eventstore.vocabulary import ComponentPhase, ErrorCategory, Phase, Trigger
from reconciler.shell.work_queue import WorkQueue

#: The controller's name in controller-runtime's labels.
CONTROLLER = "observabilityplatform"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: controller-runtime's own buckets for queue times.
_QUEUE_SECONDS = tuple(10.0**exponent for exponent in range(-8, 4))
_APPEND_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
#: Distinct reasons of errors; more than this is a bug that must not become a cardinality problem.
REASONS_MAX = 150
_REASON = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")


class Metrics:
    """What is counted, as methods in the words of whoever reports it.

    Also the observer that `WorkQueue`, `WatchSet` and `ApiTransport` report to.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, version: str = "", api_host: str = "") -> None:
        # `_created` series double the page and nobody reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left its type out
        self.registry = registry or CollectorRegistry(auto_describe=True)
        self.api_host = api_host
        self._reasons: set[str] = set()
        self._state_machine()
        self._ledger()
        self._controller_runtime()
        self._watches()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        build = Gauge("stackledger_build_info", "Version that runs.", ["version"], registry=self.registry)
        build.labels(version).set(1)

    def render(self) -> bytes:
        """The page Prometheus reads."""
        return generate_latest(self.registry)

    # -- docs/state-machine.md -------------------------------------------------------------------------------------

    def transition(
        self, namespace: str, name: str, from_phase: Phase | None, to_phase: Phase, trigger: Trigger
    ) -> None:
        """A platform entered another phase (or Ready again by a minor update)."""
        source = from_phase.value if from_phase else ""
        self._transitions.labels(namespace, name, source, to_phase.value, trigger.value).inc()

    def reconciled(self, seconds: float, result: str) -> None:
        """One pass over one platform is over. `result`: `success`, `error`, `requeue`, `requeue_after`."""
        self._duration.observe(seconds)
        self._reconcile_seconds.observe(seconds)
        self._reconciles.labels(CONTROLLER, result).inc()
        if result == "error":
            self._reconcile_errors.inc()

    def component_phase(self, namespace: str, name: str, component: str, phase: ComponentPhase | None) -> None:
        """A component is in this phase: 1 for it, 0 for the others. None: the component is gone."""
        if phase is None:
            self._component.remove_by_labels({"namespace": namespace, "name": name, "component": component})
            return
        for one in ComponentPhase:
            self._component.labels(namespace, name, component, one.value).set(one is phase)

    def error(self, category: ErrorCategory, reason: str) -> None:
        """Something failed. Reasons that are no words of ours count as `Other`."""
        if reason not in self._reasons:
            known = _REASON.fullmatch(reason) and len(self._reasons) < REASONS_MAX
            reason = reason if known else "Other"
            self._reasons.add(reason)
        self._errors.labels(category.value, reason).inc()

    def forget_platform(self, namespace: str, name: str) -> None:
        """A platform is gone: its series are removed."""
        for family in (self._transitions, self._component):
            family.remove_by_labels({"namespace": namespace, "name": name})

    def set_platforms(self, phases: dict[str, int]) -> None:
        """How many platforms are in each phase."""
        for phase in Phase:
            self._platforms.labels(phase.value).set(phases.get(phase.value, 0))

    # -- the ledger ------------------------------------------------------------------------------------------------

    def appended(self, seconds: float, events: int) -> None:
        """Events were appended in one transaction."""
        self._append_seconds.observe(seconds)
        self._appended.inc(events)

    def append_failed(self, reason: str) -> None:
        """An append failed: `conflict`, `stale_epoch`, `unavailable`."""
        self._append_failures.labels(reason).inc()

    def set_projection_lag(self, projection: str, events: int) -> None:
        """How many events a projection is behind the log."""
        self._lag.labels(projection).set(events)

    def set_lease_epoch(self, epoch: int | None) -> None:
        """The epoch this replica holds; None if it holds none."""
        self._epoch.set(epoch or 0)
        self._leader.labels(CONTROLLER).set(epoch is not None)

    def tick(self, now: float) -> None:
        """The scheduler ticked (seconds since the epoch)."""
        self._tick.set(now)

    # -- observers -------------------------------------------------------------------------------------------------

    def request(self, method: str, code: str, seconds: float) -> None:
        """A request to the API server was answered (or not: code `<error>`)."""
        self._requests.labels(code, method, self.api_host).inc()
        self._request_seconds.labels(method, self.api_host).observe(seconds)

    def queue_added(self) -> None:
        """A key was added that was not waiting."""
        self._adds.inc()

    def queue_waited(self, seconds: float) -> None:
        """A key was taken after waiting so long."""
        self._queue_seconds.observe(seconds)

    def queue_worked(self, seconds: float) -> None:
        """A key was worked on for so long."""
        self._work_seconds.observe(seconds)

    def queue_retried(self) -> None:
        """A key is to come back after a failure."""
        self._retries.inc()

    def watch_stalled(self, kind: str) -> None:
        """A watch was silent for too long."""
        self._stalls.labels(kind).inc()

    def watch_relisted(self, kind: str, reason: str) -> None:
        """A kind was listed."""
        self._lists.labels(kind, reason).inc()

    def watch_thread_restarted(self, kind: str) -> None:
        """A watch thread had died or hung."""
        self._thread_restarts.labels(kind).inc()

    def follow_queue(self, queue: WorkQueue[Any]) -> None:
        """Show the queue's depth and its work in progress from here on."""
        self._depth.set_function(lambda: len(queue))
        self._unfinished.set_function(queue.unfinished_seconds)
        self._longest.set_function(queue.longest_running_seconds)

    def set_workers(self, active: int, limit: int) -> None:
        """How many workers are at work, of how many."""
        self._active_workers.labels(CONTROLLER).set(active)
        self._max_workers.labels(CONTROLLER).set(limit)

    # -- families --------------------------------------------------------------------------------------------------

    def _state_machine(self) -> None:
        self._transitions = self._counter(
            "observability_platform_state_transitions_total",
            "State transitions.",
            ["namespace", "name", "from", "to", "trigger"],
        )
        self._duration = Histogram(
            "observability_platform_reconciliation_duration_seconds",
            "Duration of one reconcile pass.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._component = self._gauge(
            "observability_platform_component_status",
            "1 for the phase a component is in, 0 for the others.",
            ["namespace", "name", "component", "phase"],
        )
        self._errors = self._counter(
            "observability_platform_errors_total", "Errors by category and reason.", ["category", "reason"]
        )
        self._platforms = self._gauge("observability_platform_platforms", "Platforms by phase.", ["phase"])

    def _ledger(self) -> None:
        self._append_seconds = Histogram(
            "stackledger_ledger_append_duration_seconds",
            "Duration of one append.",
            buckets=_APPEND_SECONDS,
            registry=self.registry,
        )
        self._appended = self._counter("stackledger_ledger_events_appended_total", "Events appended.", [])
        self._append_failures = self._counter(
            "stackledger_ledger_append_failures_total", "Appends that failed.", ["reason"]
        )
        self._lag = self._gauge("stackledger_projection_lag_events", "Events a projection is behind.", ["projection"])
        self._epoch = self._gauge("stackledger_lease_epoch", "Lease epoch this replica holds, 0 if none.", [])
        self._leader = self._gauge("leader_election_master_status", "1 if this replica holds the lease.", ["name"])
        self._tick = self._gauge("stackledger_last_tick_timestamp_seconds", "When the scheduler last ticked.", [])

    def _controller_runtime(self) -> None:
        queue, names = (CONTROLLER, CONTROLLER), ["name", "controller"]
        self._depth = self._gauge("workqueue_depth", "Keys that wait.", names).labels(*queue)
        self._adds = self._counter("workqueue_adds_total", "Keys added.", names).labels(*queue)
        self._retries = self._counter("workqueue_retries_total", "Keys that came back.", names).labels(*queue)
        self._unfinished = self._gauge("workqueue_unfinished_work_seconds", "Work in progress.", names).labels(*queue)
        self._longest = self._gauge(
            "workqueue_longest_running_processor_seconds", "Oldest work in progress.", names
        ).labels(*queue)
        self._queue_seconds = self._histogram("workqueue_queue_duration_seconds", "Time in the queue.", names, *queue)
        self._work_seconds = self._histogram("workqueue_work_duration_seconds", "Time in work.", names, *queue)
        self._reconciles = self._counter(
            "controller_runtime_reconcile_total", "Passes by result.", ["controller", "result"]
        )
        for result in ("success", "error", "requeue", "requeue_after"):
            self._reconciles.labels(CONTROLLER, result)
        self._reconcile_errors = self._counter(
            "controller_runtime_reconcile_errors_total", "Passes that failed.", ["controller"]
        ).labels(CONTROLLER)
        self._reconcile_seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "Duration of one pass.",
            ["controller"],
            buckets=_SECONDS,
            registry=self.registry,
        ).labels(CONTROLLER)
        self._active_workers = self._gauge("controller_runtime_active_workers", "Workers at work.", ["controller"])
        self._max_workers = self._gauge(
            "controller_runtime_max_concurrent_reconciles", "Workers there are.", ["controller"]
        )
        self._requests = self._counter(
            "rest_client_requests_total", "Requests to the API server.", ["code", "method", "host"]
        )
        self._request_seconds = Histogram(
            "rest_client_request_duration_seconds",
            "Until the API server began to answer.",
            ["verb", "host"],
            buckets=_SECONDS,
            registry=self.registry,
        )

    def _watches(self) -> None:
        self._stalls = self._counter("stackledger_watch_stalled_total", "Watches silent for too long.", ["kind"])
        self._lists = self._counter("stackledger_watch_lists_total", "Lists by reason.", ["kind", "reason"])
        self._thread_restarts = self._counter(
            "stackledger_watch_thread_restarts_total", "Watch threads that died or hung.", ["kind"]
        )

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: list[str]) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: list[str], *values: str) -> Histogram:
        return Histogram(name, text, labels, buckets=_QUEUE_SECONDS, registry=self.registry).labels(*values)
