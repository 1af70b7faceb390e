"""The API servers that a run can be played against, and what is done to them."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import urllib3

from api.crd import build_crd
from reconciler.shell.api_configuration import load_configuration
from reconciler.shell.api_refusal import Call
from reconciler.shell.api_transport import ApiTransport, Question
from reconciler.shell.cluster import KubernetesObject
from reconciler.shell.kubernetes_cluster import KubernetesCluster
from sandbox.kubeconfig import write_kubeconfig
from tests.chaos.tcp_proxy import TcpProxy
from tests.cluster.installation import HMAC_KEY, new_namespace
from tests.cluster.process import ROOT, free_port
from tests.cluster.stage import WRITES

Undo = Callable[[], object]


class Server(Protocol):
    """A control plane to break, with a way to it that only the operators take."""

    name: str
    #: The kinds of `schedule.FAULTS` it knows.
    faults: frozenset[str]
    #: The administrator's way, which nothing breaks but the server itself.
    cluster: KubernetesCluster

    def open(self) -> tuple[str, str]:
        """Start it, with our definition and two namespaces: for the storm, and for undisturbed installs."""
        ...

    def close(self) -> None:
        """Stop it."""
        ...

    def environment(self) -> dict[str, str]:
        """How an operator finds it."""
        ...

    def fault(self, kind: str, choice: int) -> Undo:
        """Let something go wrong; what ends it."""
        ...

    def heal(self) -> None:
        """Whatever goes wrong, it ends now."""
        ...

    def break_workload(self, namespace: str, workload: str, reason: str) -> None:
        """Its pods fail."""
        ...

    def repair_workload(self, namespace: str, workload: str) -> None:
        """They are well again."""
        ...

    def writes(self) -> int:
        """How many writes were sent to it so far, but for Events, whether or not they changed anything."""
        ...


def administrator(kubeconfig: Path) -> tuple[ApiTransport, KubernetesCluster]:
    """A client that takes the direct way."""
    transport = ApiTransport(
        lambda: load_configuration(str(kubeconfig)), monotonic=time.monotonic, user_agent="kubectl-chaos"
    )
    return transport, KubernetesCluster(transport)


def send(transport: ApiTransport, method: str, path: str, body: Mapping[str, Any], content_type: str = "") -> int:
    """A call that the operator's port has no word for; the status."""
    question = Question(
        call=Call(verb=method.lower(), kind=path),
        method=method,
        path=path,
        content_type=content_type or "application/json",
        body=json.dumps(body).encode(),
    )
    return transport.ask(question).status


#: What an API server or a balancer before it answers on a bad day: status, Retry-After, body.
BUSY: tuple[tuple[str, str, bytes], ...] = (
    ("429 Too Many Requests", "1", b"Too many requests, please try again later.\n"),
    ("500 Internal Server Error", "", b'{"kind":"Status","apiVersion":"v1","status":"Failure","code":500}'),
    ("503 Service Unavailable", "2", b"<html><body><h1>503</h1></body></html>"),
)


def busy_answer(choice: int) -> bytes:
    """One of `BUSY` as it stands on the wire."""
    status, after, body = BUSY[choice % len(BUSY)]
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: text/plain", "Connection: close"]
    head += [f"Retry-After: {after}"] if after else []
    return "\r\n".join([*head, "", ""]).encode() + body


class SandboxProcess:
    """`python -m sandbox` as a process of its own that keeps its cluster in a directory, behind a TCP proxy."""

    name = "sandbox"
    faults = frozenset(
        {
            "api-cut",
            "api-half-open",
            "api-busy",
            "api-answers-lost",
            "api-away",
            "api-restart",
            "api-stop",
            "api-expire",
        }
    )
    cluster: KubernetesCluster

    def __init__(self, directory: Path, dsn: str) -> None:
        self._directory, self._dsn = directory, dsn
        self._port = free_port()
        self._url = f"http://127.0.0.1:{self._port}"
        self._proxy = TcpProxy(self._connect)
        self._process: subprocess.Popen[bytes] | None = None
        self._client = urllib3.PoolManager()
        #: Calls that were counted before the last restart.
        self._writes_before = 0

    def _connect(self) -> socket.socket:
        one = socket.create_connection(("127.0.0.1", self._port), timeout=5)
        one.settimeout(None)
        return one

    # -- life ------------------------------------------------------------------------------------------------------

    def open(self) -> tuple[str, str]:
        """Start it, with our definition and two namespaces."""
        self._directory.mkdir(parents=True, exist_ok=True)
        admin, operator = self._directory / "admin.kubeconfig", self._directory / "operator.kubeconfig"
        (self._directory / "uri").write_text(self._dsn)
        (self._directory / "hmac-key").write_text(HMAC_KEY)
        write_kubeconfig(admin, self._url)
        write_kubeconfig(operator, f"http://127.0.0.1:{self._proxy.port}")
        self._start()
        self._transport, self.cluster = administrator(admin)
        definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        assert send(self._transport, "POST", definition, build_crd()) == 201
        namespaces = new_namespace("storm"), new_namespace("calm")
        for name in namespaces:
            assert send(self._transport, "POST", "/api/v1/namespaces", {"metadata": {"name": name}}) == 201
        return namespaces

    def close(self) -> None:
        """Stop it."""
        self._proxy.stop()
        self._signal(signal.SIGCONT)
        self._end()
        if hasattr(self, "_transport"):
            self._transport.close()

    def environment(self) -> dict[str, str]:
        """How an operator finds it, and its ledger."""
        return {
            "KUBECONFIG": str(self._directory / "operator.kubeconfig"),
            "STACKLEDGER_DSN_FILE": str(self._directory / "uri"),
            "STACKLEDGER_HMAC_KEY_FILE": str(self._directory / "hmac-key"),
            # It sends bookmarks more often than a real server does.
            "STACKLEDGER_WATCH_STALL_SECONDS": "12",
        }

    def _start(self) -> None:
        command = [sys.executable, "-m", "sandbox", "--port", str(self._port), "--ready-delay", "0.3"]
        with (self._directory / "sandbox.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--state-dir", str(self._directory / "state")],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, "the sandbox ended by itself"
            assert time.monotonic() < deadline, "the sandbox does not answer"
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return self._client.request("GET", f"{self._url}/sandbox/state", timeout=2.0, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _end(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        # Asked to, it writes down what it holds, as etcd has done all the while.
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)

    # -- faults ----------------------------------------------------------------------------------------------------

    def fault(self, kind: str, choice: int) -> Undo:
        """Let something go wrong; what ends it."""
        if kind == "api-stop":
            self._signal(signal.SIGSTOP)
            return lambda: self._signal(signal.SIGCONT)
        if kind == "api-restart":
            self._writes_before = self.writes()
            self._end()
            return self._start_again
        if kind == "api-expire":
            self._control("expire")
            return _nothing
        return proxy_fault(self._proxy, kind.removeprefix("api-"), busy_answer(choice))

    def heal(self) -> None:
        """Whatever goes wrong, it ends now."""
        self._proxy.heal()
        self._signal(signal.SIGCONT)
        self._start_again()

    def _start_again(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self._start()

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    # -- hands -----------------------------------------------------------------------------------------------------

    def break_workload(self, namespace: str, workload: str, reason: str) -> None:
        """Its pods fail."""
        self._control("break", namespace=namespace, workload=workload, reason=reason)

    def repair_workload(self, namespace: str, workload: str) -> None:
        """They are well again."""
        self._control("repair", namespace=namespace, workload=workload)

    def writes(self) -> int:
        """How many writes were sent to it so far."""
        answer = self._client.request("GET", f"{self._url}/sandbox/state", timeout=10.0)
        calls: dict[str, int] = answer.json()["calls"]
        written = {call.partition(" "): count for call, count in calls.items()}
        return self._writes_before + sum(
            count for (verb, _, kind), count in written.items() if verb in WRITES and not kind.startswith("events")
        )

    def _control(self, name: str, **fields: Any) -> None:
        answer = self._client.request("POST", f"{self._url}/sandbox/{name}", json=fields, timeout=10.0)
        if answer.status != 200:
            raise RuntimeError(f"/sandbox/{name}: {answer.status} {answer.data.decode()[:300]}")


def proxy_fault(proxy: TcpProxy, kind: str, answer: bytes = b"") -> Undo:
    """A fault of the way: `cut`, `half-open`, `away`, `answers-lost`, `busy`; what ends it."""
    if kind == "cut":
        proxy.cut()
        return _nothing
    if kind == "half-open":
        proxy.passing.clear()

        def end() -> None:
            # Whoever waits on these waits for ever: the server has long hung up.
            proxy.abandon()
            proxy.passing.set()

        return end
    if kind == "away":
        proxy.refuse()
        return proxy.accept
    if kind == "answers-lost":
        proxy.losing_answers = True
        return lambda: setattr(proxy, "losing_answers", False)
    if kind == "busy":
        proxy.answer = answer
        proxy.cut()
        return lambda: setattr(proxy, "answer", None)
    raise ValueError(f"no way to do {kind}")


def _nothing() -> None:
    """It is over already."""


def is_gone(found: KubernetesObject | None) -> bool:
    """Whether there is nothing, or something on its way out."""
    return found is None or bool(found["metadata"].get("deletionTimestamp"))
