"""The only place that chooses implementations and wires them. Nothing but the command line imports it."""

import os
import signal
import socket
import threading
from collections.abc import Callable

import structlog

from eventstore.dsn import DsnKind, parse_dsn
from eventstore.errors import (
    CorruptEventError,
    SchemaVersionError,
    StoreConfigurationError,
    StoreError,
    StoreUnavailableError,
    UnknownEventError,
)
from eventstore.identifiers import new_event_id
from eventstore.log import EventLog
from eventstore.opening import open_log
from eventstore.vocabulary import PLURAL, ErrorCategory
from projections.engines import engine_for
from projections.outbox import Outbox
from projections.runner import ProjectionRunner
from reconciler.settings import Settings, SettingsError
from reconciler.shell.announcer import OUTBOX, Announcer
from reconciler.shell.api_configuration import load_configuration
from reconciler.shell.api_transport import ApiTransport
from reconciler.shell.cache import ObjectCache
from reconciler.shell.clock import SystemClock
from reconciler.shell.cluster import ClusterError
from reconciler.shell.dependencies import Dependencies
from reconciler.shell.executor import Executor
from reconciler.shell.health_server import HealthServer, Page, heartbeat_check, metrics_pages, probe_pages
from reconciler.shell.kubernetes_cluster import KubernetesCluster
from reconciler.shell.leadership import Leadership
from reconciler.shell.logs import configure_logging
from reconciler.shell.loop import Reconciler
from reconciler.shell.metrics import Metrics
from reconciler.shell.redaction import describe_error
from reconciler.shell.reporting import Reporter
from reconciler.shell.resources import PLATFORM, SECRET, WATCHED
from reconciler.shell.schedule import Schedule
from reconciler.shell.sight import Sight
from reconciler.shell.states import States
from reconciler.shell.watches import WatchSet, WatchTimes
from reconciler.shell.work_queue import WorkQueue
from reconciler.shell.workers import Workers

_log = structlog.get_logger(__name__)

EXIT_SETTINGS, EXIT_CRD_MISSING, EXIT_SCHEMA = 2, 3, 4
#: How long a store or an API server that is not there yet is waited for between two tries, seconds.
START_RETRY_SECONDS = 2.0
PROJECTION_SECONDS = 2.0
ANNOUNCE_SECONDS = 1.0
#: How soon a signal is noticed that did not wake the main thread.
SIGNAL_SECONDS = 1.0
#: A pass that takes longer hangs: every call in it has a deadline of its own.
WORK_SECONDS_MAX = 600.0


class StartError(Exception):
    """The operator cannot start; `exit_code` tells which kind of thing is wrong."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Operator:
    """One replica: watches, workers, schedule, lease and probes around the pure core."""

    def __init__(self, settings: Settings, log: EventLog, hmac_key: bytes, version: str, *, instance: str = "") -> None:
        """`instance` names this replica; a restart under the same name gets its lease back at once."""
        self._settings, self._log = settings, log
        clock = self._clock = SystemClock()
        self._instance = instance or f"{socket.gethostname()}-{os.getpid()}"
        self.metrics = Metrics(version=version)
        self._transport = ApiTransport(
            lambda: load_configuration(str(settings.kubeconfig) if settings.kubeconfig else None, settings.context),
            monotonic=clock.monotonic,
            observe=self.metrics.request,
            # A connection for each watch, two for each worker, and some for the jobs.
            pool_size=len(WATCHED) * max(1, len(settings.namespaces)) + 2 * settings.workers + 4,
            user_agent=f"stackledger/{version}",
        )
        self.metrics.api_host = self._transport.host
        self._cluster = KubernetesCluster(self._transport, stall_seconds=settings.watch_stall_seconds)
        cache = self._cache = ObjectCache([*(watched.resource.kind for watched in WATCHED), SECRET.kind])
        self._queue: WorkQueue[tuple[str, str]] = WorkQueue(clock.monotonic, self.metrics, can_wait=self._can_wait)
        self.metrics.follow_queue(self._queue)
        self._states = States(log, self.metrics, clock.monotonic)
        self._dependencies = Dependencies(
            self._cluster,
            hmac_key,
            clock.monotonic,
            absent_seconds=settings.prerequisite_poll_seconds / 2,
            present_seconds=settings.resync_seconds,
        )
        sight = Sight(
            self._cluster,
            cache,
            self._dependencies,
            hmac_key,
            policy=settings.policy,
            operator_version=version,
            monotonic=clock.monotonic,
            secrets_seconds=settings.resync_seconds,
        )
        self._leadership = Leadership(
            log.lease,
            self._instance,
            settings.lease_ttl_seconds,
            settings.lease_renew_seconds,
            monotonic=clock.monotonic,
            on_gain=self._on_gain,
            on_loss=lambda _why: self.metrics.set_lease_epoch(None),
        )
        self._reporter = Reporter(self.metrics)
        self._reconciler = Reconciler(
            log=log,
            states=self._states,
            sight=sight,
            executor=Executor(self._cluster, cache, log),
            cluster=self._cluster,
            cache=cache,
            clock=clock,
            new_id=new_event_id,
            epoch=self._leadership.epoch,
            announce=self._reporter,
        )
        self._workers = Workers(self._reconciler, self._queue, self.metrics, clock, settings.workers)
        self._watches = WatchSet(
            self._cluster,
            WATCHED,
            cache,
            self._on_change,
            monotonic=clock.monotonic,
            observer=self.metrics,
            namespaces=list(settings.namespaces) or None,
            times=_watch_times(settings),
            interrupt=self._cluster.interrupt_watches,
        )
        engine = engine_for(settings.database_url())
        self._projections = ProjectionRunner(log, engine)
        self._announcer = Announcer(
            Outbox(log, engine, OUTBOX),
            self._cluster,
            lambda stream_id: self._states.load(stream_id).state,
            clock,
            self._instance,
        )
        self._schedule = Schedule(clock.monotonic)
        self._servers: list[HealthServer] = []

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self, stopping: threading.Event | None = None) -> bool:
        """Begin: probes first, so that a slow start can be seen; then watches; then work, once the caches are full.

        Args:
            stopping: set when the start is no longer wanted: an API server can be away for hours.

        Returns:
            Whether it works; False if `stopping` was set before.

        Raises:
            StartError: the custom resource is not installed.
        """
        stopping = stopping or threading.Event()
        self._start_servers()
        if not self._wait_for_crd(stopping):
            return False
        self._watches.start()
        self._schedule.every(self._settings.tick_seconds, "tick", self._tick)
        self._schedule.every(self._settings.resync_seconds, "resync", self._resync)
        self._schedule.every(PROJECTION_SECONDS, "projections", self._project)
        self._schedule.every(ANNOUNCE_SECONDS, "announcements", self._publish)
        self._schedule.start()
        while not self._watches.wait_synced(START_RETRY_SECONDS):
            if stopping.is_set():
                return False
            _log.warning("waiting_for_watches", problems=self._watches.problems())
        self._leadership.start()
        self._workers.start()
        _log.info("started", instance=self._instance, namespaces=self._settings.namespaces or "all")
        return True

    def stop(self) -> None:
        """End: no new work, finish what is begun, then give the lease back so that another replica need not wait."""
        finished = self._workers.stop(self._settings.shutdown_seconds)
        self._schedule.stop()
        self._leadership.stop()
        self._watches.stop()
        self._last_words()
        for server in self._servers:
            server.stop()
        self._cluster.close()
        self._log.close()
        _log.info("stopped", finished=finished)

    def epoch(self) -> int | None:
        """The lease epoch under which this replica acts; None on standby."""
        return self._leadership.epoch()

    @property
    def ports(self) -> list[int]:
        """The ports that probes and metrics are served on."""
        return [server.port for server in self._servers]

    # -- jobs ------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Wake platforms whose deadline has come."""
        self.metrics.tick(self._clock.now().timestamp())
        if self.epoch() is None:
            return
        for key in self._reconciler.keys_due(self._log.due_streams(self._clock.now())):
            self._queue.add(key)

    def _resync(self) -> None:
        """Look at everything, whatever the watches said."""
        for key in {*self._cache.platforms(), *self._reconciler.open_keys()}:
            self._queue.add(key)

    def _project(self) -> None:
        self._projections.catch_up()
        for name, events in self._projections.lag().items():
            self.metrics.set_projection_lag(name, events)

    def _publish(self) -> None:
        if self.epoch() is not None:
            self._announcer.publish()

    def _last_words(self) -> None:
        """What the last passes recorded is still projected; a failure costs nothing, the next replica does it."""
        try:
            self._project()
        except StoreError as error:
            _log.warning("projections_behind", why=describe_error(error))

    # -- wake-ups --------------------------------------------------------------------------------------------------

    def _on_change(self, namespace: str, name: str) -> None:
        if name:
            self._queue.add((namespace, name))
            return
        for key in self._cache.platforms(namespace):
            self._queue.add(key)

    def _can_wait(self, key: tuple[str, str]) -> bool:
        return self._reconciler.is_new(key)

    def _on_gain(self, epoch: int) -> None:
        self.metrics.set_lease_epoch(epoch)
        try:
            keys = self._reconciler.adopt_open_streams()
            self._show_gauges()
        except StoreError as error:
            _log.warning("open_streams_unknown", why=describe_error(error))
            keys = []
        for key in {*keys, *self._cache.platforms()}:
            self._queue.add(key)

    def _show_gauges(self) -> None:
        """Show what nothing will be appended about: a platform at rest has gauges too."""
        for stream_id in self._reconciler.open_stream_ids():
            try:
                self._reporter.show(self._states.load(stream_id).state)
            except (UnknownEventError, CorruptEventError) as error:
                _log.warning("state_unreadable", stream=stream_id, why=describe_error(error))

    # -- probes ----------------------------------------------------------------------------------------------------

    def _start_servers(self) -> None:
        liveness = {
            "tick": heartbeat_check(self._schedule.age_seconds, self._settings.tick_limit_seconds),
            "watches": lambda: "; ".join(self._watches.healthy()),
            "workers": self._check_workers,
        }
        pages: dict[str, dict[str, Callable[[], Page]]] = {}
        pages.setdefault(self._settings.health_bind, {}).update(probe_pages(liveness, self._readiness()))
        pages.setdefault(self._settings.metrics_bind, {}).update(metrics_pages(self.metrics.render))
        for bind, served in pages.items():
            if bind:
                try:
                    server = HealthServer(bind, served)
                except OSError as error:
                    raise StartError(f"cannot listen on {bind}: {error.strerror}", EXIT_SETTINGS) from None
                server.start()
                self._servers.append(server)

    def _check_workers(self) -> str:
        if dead := self._workers.dead():
            return f"{dead} of {self._settings.workers} workers died"
        seconds = self._queue.longest_running_seconds()
        return f"a worker has been busy for {seconds:.0f} s: it hangs" if seconds > WORK_SECONDS_MAX else ""

    def _readiness(self) -> dict[str, Callable[[], str]]:
        return {
            "store": self._check_store,
            "watches": lambda: "; ".join(self._watches.problems()),
            "lease": self._leadership.problem,
            "jobs": lambda: "; ".join(f"{name}: {why}" for name, why in self._schedule.problems().items()),
        }

    def _check_store(self) -> str:
        try:
            self._log.head_position()
        except StoreError as error:
            return describe_error(error)
        return ""

    def _wait_for_crd(self, stopping: threading.Event) -> bool:
        while True:
            try:
                if self._cluster.serves(PLATFORM):
                    return True
                message = (
                    f"the CustomResourceDefinition {PLURAL} is not installed: kubectl apply --server-side "
                    "-k deploy/crds (or: stackledger crd print | kubectl apply --server-side -f -)"
                )
                raise StartError(message, EXIT_CRD_MISSING)
            except ClusterError as error:
                if error.category is ErrorCategory.CONFIGURATION:
                    raise StartError(str(error), EXIT_SETTINGS) from None
                _log.warning("waiting_for_api_server", why=str(error))
                if stopping.wait(START_RETRY_SECONDS):
                    return False


def run_operator(settings: Settings, version: str) -> int:
    """Run until SIGTERM or SIGINT; the exit code: 0 ended as asked, 130 by a second signal, 2, 3, 4 not started."""
    configure_logging(settings.log_format, settings.log_level)
    stopping = stop_on_signals()
    try:
        hmac_key = _hmac_key(settings)
        operator = Operator(settings, _open_ledger(settings, stopping), hmac_key, version)
        if operator.start(stopping):
            wait_for_end(stopping)
    except (SettingsError, StoreConfigurationError) as error:
        raise StartError(str(error), EXIT_SETTINGS) from None
    except SchemaVersionError as error:
        raise StartError(str(error), EXIT_SCHEMA) from None
    operator.stop()
    return 0


def _watch_times(settings: Settings) -> WatchTimes:
    return WatchTimes(relist_seconds=settings.relist_seconds, rewind_grace_seconds=settings.rewind_grace_seconds)


def wait_for_end(stopping: threading.Event) -> None:
    """Wait until a signal has set the event.

    Not in one go: a signal that comes just as a stopped process goes on (SIGCONT) may be handed to another thread, and
    the main thread, in which alone Python handles signals, would sleep on.
    """
    while not stopping.wait(SIGNAL_SECONDS):
        pass


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set; the second of them ends the process at once."""
    stopping = threading.Event()

    def on_signal(_number: int, _frame: object) -> None:
        if stopping.is_set():
            os._exit(130)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return stopping


def _open_ledger(settings: Settings, stopping: threading.Event) -> EventLog:
    """Open the log; a database that is only not there yet is waited for."""
    dsn = settings.database_url()
    while True:
        try:
            return open_log(dsn, create=parse_dsn(dsn).kind is DsnKind.SQLITE)
        except StoreUnavailableError as error:
            _log.warning("waiting_for_store", why=describe_error(error))
            if stopping.wait(START_RETRY_SECONDS):
                raise StartError("stopped before the store could be reached", 0) from None


def _hmac_key(settings: Settings) -> bytes:
    key = settings.hmac_key()
    if key is None:
        raise SettingsError(
            "hmac_key_file is missing: it holds the key of the fingerprints that stand for secrets in the ledger, and "
            "must stay the same; make one with: head -c 32 /dev/urandom | base64 > hmac-key"
        )
    return key
