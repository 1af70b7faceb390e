"""`stackledger demo`: an emulated cluster, the operator and a ledger in one process, and what happens, line by line."""

import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from api.crd import build_crd
from cli.demo_lock import locked
from cli.demo_telling import invitation, ready_in_words, tell
from cli.failures import EXIT_FINDING, EXIT_OK, CommandError
from cli.invocation import LEDGER_FILE
from cli.output import note, write_line
from cli.product import product_version
from eventstore.log import EventLog
from eventstore.opening import open_log
from eventstore.vocabulary import Phase
from reconciler.app import Operator, wait_for_end
from reconciler.settings import load
from reconciler.shell.api_configuration import load_configuration
from reconciler.shell.api_transport import ApiTransport
from reconciler.shell.cluster import KubernetesObject
from reconciler.shell.kubernetes_cluster import KubernetesCluster
from reconciler.shell.logs import configure_logging
from reconciler.shell.resources import PLATFORM
from sandbox.assembly import Sandbox
from sandbox.kubeconfig import write_kubeconfig
from sandbox.model import Write
from sandbox.server import SandboxServer

READY_SECONDS_MAX = 120.0
#: How long the demo waits to have printed what it was about to say.
CATCH_UP_SECONDS_MAX = 2.0
#: A platform that a directory holds may be one that somebody broke: it is shown as it is.
LOOK_SECONDS = 15.0
#: Minutes of a real cluster in seconds of a demo.
DEMO_SETTINGS: dict[str, Any] = {
    "tick_seconds": 0.2,
    "stability_seconds": 0.5,
    "problem_grace_seconds": 2,
    "health_grace_seconds": 3,
    "retry_initial_seconds": 2,
    "prerequisite_poll_seconds": 2,
    "slow_probe_seconds": 30,
    "resync_seconds": 60,
    "lease_ttl_seconds": 3,
    "lease_renew_seconds": 1,
    "shutdown_seconds": 5,
    "metrics_bind": "",
    "health_bind": "",
    "log_level": "warning",
}
_USER = "kubectl"


class Demo:
    """Everything that runs in a demo, and the platform it is about."""

    def __init__(self, state_dir: Path | None) -> None:
        self.kept = state_dir is not None
        self.state_dir = state_dir.absolute() if state_dir else Path(tempfile.mkdtemp(prefix="stackledger-demo-"))
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self._lock = locked(self.state_dir)
        self.kubeconfig = self.state_dir / "kubeconfig"
        self.example: KubernetesObject = yaml.safe_load(example_file().read_text())
        self.namespace, self.name = self.example["metadata"]["namespace"], self.example["metadata"]["name"]
        self.server = SandboxServer(sandbox=Sandbox(state_dir=self.state_dir))
        self.log: EventLog | None = None
        self._operator: Operator | None = None
        self._transport: ApiTransport | None = None
        self._stopping = threading.Event()
        #: Stream version and log position of the newest event that was told.
        self._told = self._told_position = 0
        self._teller: threading.Thread | None = None

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the cluster, the ledger and the operator, and begin to tell what happens."""
        self.server.start()
        write_kubeconfig(self.kubeconfig, self.server.url, namespace=self.namespace)
        self._prepare_cluster()
        self._say(f"emulated Kubernetes API  {self.server.url}")
        dsn = f"sqlite:///{self.state_dir / LEDGER_FILE}"
        self.log = open_log(dsn, create=True)
        head = self.log.head_position()
        self._say(f"ledger  {self.state_dir / LEDGER_FILE}  ({f'goes on after {head} events' if head else 'new'})")
        settings = load(
            {"dsn": dsn, "kubeconfig": str(self.kubeconfig), "hmac_key_file": str(self._hmac_key_file())}
            | DEMO_SETTINGS,
            {},
        )
        configure_logging("console", settings.log_level)
        self._operator = Operator(settings, open_log(dsn), settings.hmac_key() or b"", product_version())
        self._operator.start()
        self._say("operator  started")
        self._told_position = head
        self._teller = threading.Thread(target=self._tell, args=(head,), name="teller", daemon=True)
        self._teller.start()

    def stop(self) -> None:
        """Stop everything; the state directory stays if somebody asked for it."""
        if self._operator is not None:
            self._operator.stop()
        self._stopping.set()
        if self._teller is not None:
            self._teller.join(2)
        if self._transport is not None:
            self._transport.close()
        self.server.stop()
        if self.log is not None:
            self.log.close()
        self._lock.close()

    # -- the platform ----------------------------------------------------------------------------------------------

    @property
    def cluster(self) -> KubernetesCluster:
        """The API server, as a user of it sees it."""
        if self._transport is None:
            self._transport = ApiTransport(
                lambda: load_configuration(str(self.kubeconfig)), monotonic=time.monotonic, user_agent=_USER
            )
        return KubernetesCluster(self._transport)

    def apply(self, platform: KubernetesObject) -> None:
        """What `kubectl apply --server-side` does."""
        self.cluster.apply(PLATFORM, self.namespace, platform, manager=_USER)

    def platform(self) -> KubernetesObject | None:
        """The resource as it is now."""
        return self.cluster.get(PLATFORM, self.namespace, self.name)

    def phase(self) -> str:
        """`.status.phase`; "" before the first, and when there is no platform."""
        found = self.platform()
        return str((found.get("status") or {}).get("phase", "")) if found else ""

    def is_ready(self) -> bool:
        """Ready, and for the spec as it is now."""
        found = self.platform()
        status = (found or {}).get("status") or {}
        generation = (found or {"metadata": {}})["metadata"].get("generation")
        ready = any(
            condition["type"] == "Ready"
            and condition["status"] == "True"
            and condition["observedGeneration"] == generation
            for condition in status.get("conditions", ())
        )
        return ready and status.get("phase") == Phase.READY

    def is_closed(self, uid: str) -> bool:
        """The ledger says that nothing is left of the platform, and the spectator was told."""
        stored = self.log.load_state(uid) if self.log else None
        return stored is not None and stored.record.closed and self._told >= stored.version

    def catch_up(self) -> None:
        """Wait until the spectator was told what the ledger holds by now: what follows is said in the right order."""
        head = self.log.head_position() if self.log else 0
        deadline = time.monotonic() + CATCH_UP_SECONDS_MAX
        while self._told_position < head and time.monotonic() < deadline:
            self._stopping.wait(0.02)

    def wait(self, what: str, met: Callable[[], bool], seconds: float = READY_SECONDS_MAX) -> None:
        """Wait until it is so.

        Raises:
            CommandError: it took too long.
        """
        deadline = time.monotonic() + seconds
        while not met():
            if self._stopping.wait(0.1) or time.monotonic() > deadline:
                found = (self.platform() or {}).get("status") or {}
                raise CommandError(
                    f"{self.namespace}/{self.name} is not {what} after {seconds:.0f} s",
                    ready_in_words(found),
                    f"stackledger history {self.name} --all --state-dir {self.state_dir}",
                    exit_code=EXIT_FINDING,
                )

    # -- parts -----------------------------------------------------------------------------------------------------

    def _prepare_cluster(self) -> None:
        """What an administrator does once: install the CRD, make a namespace."""
        model = self.server.sandbox.model
        namespace: KubernetesObject = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self.namespace},
        }
        crd: KubernetesObject = build_crd()
        for group, plural, body in (
            ("apiextensions.k8s.io", "customresourcedefinitions", crd),
            ("", "namespaces", namespace),
        ):
            name = body["metadata"]["name"]
            kind, served = model.resource(group, "v1", plural)
            if model.find(body["apiVersion"], body["kind"], "", name) is None:
                model.create(kind, served, "", body, Write(manager=_USER))
            elif body is crd:
                # The directory may be of another build, which had other fields and columns.
                model.replace(kind, served, "", name, body, Write(manager=_USER))

    def _hmac_key_file(self) -> Path:
        path = self.state_dir / "hmac-key"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32))
        return path

    def _tell(self, position: int) -> None:
        """Print each phase change as the ledger gets it."""
        assert self.log is not None
        while not self._stopping.is_set():
            for recorded in self.log.read_all(position):
                position = recorded.position
                line = tell(recorded)
                if line:
                    write_line(line)
                    sys.stdout.flush()
                self._told = recorded.version
                self._told_position = position
            self.log.wait_for_append(position, 0.2)

    def _say(self, text: str) -> None:
        write_line(f"✓ {text}")
        sys.stdout.flush()


def example_file() -> Path:
    """The platform of the demo; a checkout has it under examples/, an installed package beside this module."""
    here = Path(__file__).parent
    packaged = here / "full.yaml"
    return packaged if packaged.exists() else here.parent / "examples" / "full.yaml"


def demo(*, state_dir: Path | None, leave: bool, tour: Callable[[Demo], int] | None = None) -> int:
    """Run the demo; the exit code. `tour` is walked once it is Ready; `leave`: stop then."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _interrupt(stop))
    show = Demo(state_dir)
    try:
        show.start()
        _bring_up(show, stop, must_be_ready=leave or tour is not None)
        if stop.is_set():
            return EXIT_OK
        code = tour(show) if tour else EXIT_OK
        if not leave:
            for line in invitation(show.namespace, show.name, show.kubeconfig, show.state_dir, show.server.url):
                write_line(line)
            sys.stdout.flush()
            wait_for_end(stop)
    finally:
        show.stop()
    if leave and not show.kept:
        shutil.rmtree(show.state_dir, ignore_errors=True)
    elif not leave:
        note(f"stopped; the ledger is kept: stackledger history {show.name} --state-dir {show.state_dir}")
    return code


def _bring_up(show: Demo, stop: threading.Event, *, must_be_ready: bool) -> None:
    """Make the platform unless it is there, and wait for Ready; one that was there before may also be broken."""
    began = time.monotonic()
    if show.platform() is None:
        write_line(f"$ kubectl apply --server-side -f {example_file().name}")
        show.apply(show.example)
        must_be_ready = True
    try:
        seconds = READY_SECONDS_MAX if must_be_ready else LOOK_SECONDS
        show.wait("Ready", lambda: stop.is_set() or show.is_ready(), seconds)
    except CommandError as error:
        if must_be_ready:
            raise
        outcome = f"{error.what}: {error.why}"
    else:
        outcome = f"{show.namespace}/{show.name} is Ready after {time.monotonic() - began:.1f} s"
    if not stop.is_set():
        show.catch_up()
        write_line(outcome)


def _interrupt(stop: threading.Event) -> None:
    if stop.is_set():
        os._exit(130)
    stop.set()
