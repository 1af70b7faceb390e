"""A Kubernetes control plane on this machine: etcd, API server, controllers, nodes, and a proxy for faults.

python -m tests.controlplane.launch DIRECTORY      runs one until Ctrl-C; DIRECTORY/kubeconfig is the administrator's
"""

import json
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import Any, Self

import msgspec
import urllib3
import yaml

from tests.controlplane.build import BuildError, binary
from tests.controlplane.faults import ProxyFaults
from tests.controlplane.node import NodeHands
from tests.controlplane.processes import Process, free_ports

#: As cluster administrators run them, less what nobody plays here: nodes, clouds, certificates, autoscaling.
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
)
NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kubelet", "proxy")
#: Every call once, when it is answered; what a watch or the leader's clock asks for is left out.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "None", "userGroups": ["system:masters"]},
        {"level": "Metadata"},
    ],
}


class Ports(msgspec.Struct, frozen=True):
    """On 127.0.0.1."""

    etcd: int
    etcd_peer: int
    apiserver: int
    kubelet: int
    proxy: int
    proxy_control: int


class ControlPlane:
    """All five processes, and what a test does to them. Everything they keep is below one directory."""

    def __init__(self, directory: Path, ports: Ports | None = None) -> None:
        """`ports` are given to speak to a control plane that another process runs in this directory (`attach`)."""
        self.directory = directory
        self.ports = ports or Ports(*free_ports(len(Ports.__struct_fields__)))
        self.url = f"https://127.0.0.1:{self.ports.apiserver}"
        self.proxy_url = f"https://127.0.0.1:{self.ports.proxy}"
        self.ca_file = directory / "pki" / "ca.crt"
        self.kubeconfig = directory / "kubeconfig"
        self.audit_log = directory / "audit.log"
        self.node = NodeHands(f"http://127.0.0.1:{self.ports.kubelet}")
        self.faults = ProxyFaults(f"http://127.0.0.1:{self.ports.proxy_control}")
        self._processes: dict[str, Process] = {}
        self._client: urllib3.PoolManager | None = None

    @classmethod
    def attach(cls, directory: Path) -> "ControlPlane":
        """The one that another process runs there; its processes cannot be killed or held still by this one."""
        return cls(directory, msgspec.json.decode((directory / "ports.json").read_bytes(), type=Ports))

    # -- starting and stopping -------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start all of them and wait until pods can be made.

        Raises:
            BuildError: there is no binary and none can be built.
            ProcessError: one of them did not start.
        """
        program = str(binary())
        (self.directory / "logs").mkdir(parents=True, exist_ok=True)
        self._write_files(program)
        self._processes = {
            name: Process(name, [program, name, *arguments], self.directory / "logs" / f"{name}.log")
            for name, arguments in self._arguments().items()
        }
        try:
            for name in NAMES:
                self.start_process(name)
            self._wait_usable()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop all of them."""
        for name in reversed(NAMES):
            if name in self._processes:
                self._processes[name].kill()
        self._processes = {}

    def start_process(self, name: str) -> None:
        """Start one, and wait until it answers."""
        process = self._processes[name]
        process.start()
        if name == "kube-apiserver":
            process.wait_until("ready", lambda: self._answers(f"{self.url}/readyz"))
        elif name == "kubelet":
            process.wait_until("ready", lambda: self._answers(f"http://127.0.0.1:{self.ports.kubelet}/healthz"))
        elif name == "proxy":
            process.wait_until("ready", lambda: self._answers(f"http://127.0.0.1:{self.ports.proxy_control}/healthz"))

    def kill(self, name: str) -> None:
        """SIGKILL one."""
        self._processes[name].kill()

    def pause(self, name: str) -> None:
        """Hold one still: its connections stay open and nothing comes."""
        self._processes[name].pause()

    def resume(self, name: str) -> None:
        """Let it go on."""
        self._processes[name].resume()

    # -- the data --------------------------------------------------------------------------------------------------

    def snapshot(self, target: Path) -> None:
        """A copy of etcd's data as a crash of the machine would leave it."""
        self.pause("etcd")
        try:
            shutil.copytree(self._data, target)
        finally:
            self.resume("etcd")

    def restore(self, source: Path) -> None:
        """Go back to a snapshot: what was written since has never happened, and revisions are given out again."""
        running = ("kube-controller-manager", "kubelet", "kube-apiserver", "etcd")
        for name in running:
            self._processes[name].kill()
        shutil.rmtree(self._data)
        shutil.copytree(source, self._data)
        for name in reversed(running):
            self.start_process(name)

    # -- inside ----------------------------------------------------------------------------------------------------

    @property
    def _data(self) -> Path:
        return self.directory / "etcd"

    def _write_files(self, program: str) -> None:
        pki = self.directory / "pki"
        if not pki.exists():
            pki.mkdir()
            subprocess.run([program, "pki", "--dir", str(pki)], check=True)
        (self.directory / "audit-policy.json").write_text(json.dumps(AUDIT_POLICY))
        (self.directory / "ports.json").write_bytes(msgspec.json.encode(self.ports))
        admin = {
            "client-certificate-data": b64encode((pki / "admin.crt").read_bytes()).decode(),
            "client-key-data": b64encode((pki / "admin.key").read_bytes()).decode(),
        }
        self._write_kubeconfig(self.kubeconfig, admin, self.url)

    def _write_kubeconfig(self, path: Path, user: dict[str, Any], url: str) -> Path:
        cluster = {"server": url, "certificate-authority-data": b64encode(self.ca_file.read_bytes()).decode()}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(document))
        return path

    def _arguments(self) -> dict[str, list[str]]:
        pki, ports = self.directory / "pki", self.ports
        etcd = f"http://127.0.0.1:{ports.etcd}"
        return {
            "etcd": [
                f"--data-dir={self._data}",
                f"--client-url={etcd}",
                f"--peer-url=http://127.0.0.1:{ports.etcd_peer}",
            ],
            "kube-apiserver": _apiserver(self.directory, pki, etcd, ports.apiserver),
            "kube-controller-manager": [
                f"--kubeconfig={self.kubeconfig}",
                f"--controllers={','.join(CONTROLLERS)}",
                f"--service-account-private-key-file={pki / 'sa.key'}",
                f"--root-ca-file={self.ca_file}",
                "--leader-elect=false",
                "--secure-port=0",
                "--kube-api-qps=1000",
                "--kube-api-burst=2000",
                "--profiling=false",
            ],
            "kubelet": [f"--kubeconfig={self.kubeconfig}", f"--control=127.0.0.1:{ports.kubelet}"],
            "proxy": [
                f"--listen=127.0.0.1:{ports.proxy}",
                f"--backend={self.url}",
                f"--ca={self.ca_file}",
                f"--cert={pki / 'apiserver.crt'}",
                f"--key={pki / 'apiserver.key'}",
                f"--control=127.0.0.1:{ports.proxy_control}",
            ],
        }

    def _wait_usable(self) -> None:
        """Pods are refused until the controller manager made the namespace's ServiceAccount."""
        path = "/api/v1/namespaces/default/serviceaccounts/default"
        manager = self._processes["kube-controller-manager"]
        manager.wait_until("working", lambda: self._answers(self.url + path))

    def _answers(self, url: str) -> bool:
        try:
            return self._admin().request("GET", url, timeout=2.0, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _admin(self) -> urllib3.PoolManager:
        if self._client is None:
            pki = self.directory / "pki"
            self._client = urllib3.PoolManager(
                ca_certs=str(self.ca_file), cert_file=str(pki / "admin.crt"), key_file=str(pki / "admin.key")
            )
        return self._client


def _apiserver(directory: Path, pki: Path, etcd: str, port: int) -> list[str]:
    return [
        f"--etcd-servers={etcd}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        # Nobody reaches it by its Service: there is no network.
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.96.0.0/12",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        "--authorization-mode=RBAC",
        # Off by default; with it an operator needs the right to the finalizers of what it makes an owner.
        "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
        f"--audit-policy-file={directory / 'audit-policy.json'}",
        f"--audit-log-path={directory / 'audit.log'}",
        "--audit-log-mode=batch",
        "--profiling=false",
        "--v=1",
    ]


def main(directory: Path) -> None:
    """Run one until it is stopped."""
    began = time.monotonic()
    with ControlPlane(directory) as plane:
        print(f"usable after {time.monotonic() - began:.1f} s: {plane.url}", flush=True)
        print(f"export KUBECONFIG={plane.kubeconfig}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).absolute())
    except BuildError as problem:
        sys.exit(str(problem))
