"""A stage on a real control plane: operators as processes, their ledger in Postgres, and hands to play the user with.

One stage is one installation: its own ledger, its own namespaces (the operators look after no others, or those of two
stages would fight), all sharing the control plane, the CRD and the role of deploy/base. Everything the operator sends
goes through the fault proxy under the ServiceAccount's own token.

    with ClusterStage(control_plane, tmp_path, databases) as stage:
        stage.operate()
        stage.install({"components": {"prometheus": {}}})
        stage.kubectl.ok("get", "obsp")
"""

import base64
import copy
import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
import yaml

from audit.replay import replay
from audit.verification import verify_stream
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.events import Event, PhaseChanged
from eventstore.log import EventLog
from eventstore.opening import open_log
from eventstore.vocabulary import INSTALL_ORDER
from projections.state import PlatformState
from reconciler.shell.api_configuration import load_configuration
from reconciler.shell.api_refusal import Call
from reconciler.shell.api_transport import ApiTransport, Question
from reconciler.shell.cluster import KubernetesObject, Resource
from reconciler.shell.kubernetes_cluster import KubernetesCluster
from reconciler.shell.resources import EVENT, PLATFORM, SECRET, resource_for
from tests.cluster.installation import (
    APP_PASSWORD,
    HMAC_KEY,
    SERVICE_ACCOUNT,
    SYSTEM_NAMESPACE,
    Databases,
    deployment_environment,
    install_base,
    new_namespace,
)
from tests.cluster.process import QUICK, ROOT, OperatorProcess, stackledger_command
from tests.controlplane.faults import ProxyFaults
from tests.controlplane.launch import ControlPlane
from tests.controlplane.node import NodeHands
from tests.fixtures.controlplane import Cluster
from tests.fixtures.kubectl import Kubectl, kubectl_binary

SECONDS_MAX = 60.0
MOUNT = "/etc/stackledger/database"
#: What the operator does not look at: its pods tell when one of them cannot be bound.
PERSISTENT_VOLUME_CLAIM = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
#: The cheapest platform, and one with all five components.
SMALL: dict[str, Any] = {"components": {"prometheus": {}}}
ALL_FIVE: dict[str, Any] = {"components": {name.value: {} for name in INSTALL_ORDER}}
#: Something to upgrade: the version of Grafana.
PAIR: dict[str, Any] = {"components": {"prometheus": {}, "grafana": {"version": "13.2.0"}}}
WRITES = ("create", "update", "patch", "delete", "deletecollection")


class ClusterStage:
    """What a test has in hand.

    Args:
        plane: the control plane.
        directory: of this stage alone: kubeconfigs, token, logs.
        databases: where a ledger comes from.
        namespaces: how many namespaces the operators look after; 0: all of them, as deploy/base has it. Then nobody
            else may operate on the same control plane.
        rules: what the operators may do, by a ServiceAccount of the stage's own (`set_rules` changes it); None: by the
            one of deploy/base.
        through_proxy: whether calls take the way that can be counted and broken.
    """

    def __init__(
        self,
        plane: Cluster,
        directory: Path,
        databases: Databases,
        *,
        namespaces: int = 1,
        rules: Sequence[Mapping[str, Any]] | None = None,
        through_proxy: bool = True,
    ) -> None:
        self.plane, self.directory = plane, directory
        self.watched_namespaces = tuple(new_namespace() for _ in range(namespaces))
        #: The namespace that is meant where none is named.
        self.namespace = self.watched_namespaces[0] if namespaces else new_namespace()
        self._rules, self._through_proxy = rules, through_proxy
        self.database = databases.create()
        self.operators: list[OperatorProcess] = []
        #: Found in no log, ledger, status or Event at the end; add what a test makes up.
        self.secret_values: set[str] = {APP_PASSWORD, HMAC_KEY}
        self._log: EventLog | None = None

    # -- life ------------------------------------------------------------------------------------------------------

    def open(self) -> Self:
        """Install deploy/base unless that is done, and make the namespaces. No operator yet."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.kubeconfig = self.directory / "admin.kubeconfig"
        self.kubeconfig.write_text(_with_namespace(self.plane.kubeconfig.read_text(), self.namespace))
        self.kubectl = Kubectl(kubectl_binary(), self.kubeconfig, self.directory)
        install_base(self.kubectl, self.plane.url)
        self._admin = ApiTransport(
            lambda: load_configuration(str(self.kubeconfig)), monotonic=time.monotonic, user_agent="kubectl-test"
        )
        #: The admin's direct way to every kind the operator knows; faster than kubectl.
        self.cluster = KubernetesCluster(self._admin)
        for namespace in {self.namespace, *self.watched_namespaces}:
            self.make_namespace(namespace)
        if self._rules is not None:
            self.set_rules(self._rules)
        self._write_mounts()
        return self

    def make_namespace(self, name: str) -> None:
        """A namespace that admits no pod that is not locked down."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted", "stackledger-test": "true"}
        self.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})

    def set_rules(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Give the stage's own ServiceAccount these cluster-wide rules instead of what it had."""
        name, group = f"test-{self.namespace}", "rbac.authorization.k8s.io"
        account = {"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": self.namespace}
        role = {"apiGroup": group, "kind": "ClusterRole", "name": name}
        self._put(f"/api/v1/namespaces/{self.namespace}/serviceaccounts", "v1", "ServiceAccount", SERVICE_ACCOUNT, {})
        self._put(f"/apis/{group}/v1/clusterroles", f"{group}/v1", "ClusterRole", name, {"rules": list(rules)})
        binding = {"roleRef": role, "subjects": [account]}
        self._put(f"/apis/{group}/v1/clusterrolebindings", f"{group}/v1", "ClusterRoleBinding", name, binding)

    def may(self, verb: str, group: str, resource: str) -> bool:
        """Whether the API server would let the operator do this in its namespace, as of now."""
        namespace = SYSTEM_NAMESPACE if self._rules is None else self.namespace
        plural, _, subresource = resource.partition("/")
        review = {
            "user": f"system:serviceaccount:{namespace}:{SERVICE_ACCOUNT}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"],
            "resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": plural,
                "subresource": subresource,
                "namespace": self.namespace,
            },
        }
        answer = self.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": review})
        return bool(answer["status"]["allowed"])

    def post(self, path: str, body: Mapping[str, Any]) -> KubernetesObject:
        """Create something as the administrator, where kubectl would take its time; the answer."""
        return self._send("POST", path, "application/json", body)

    def _put(self, path: str, api_version: str, kind: str, name: str, body: Mapping[str, Any]) -> None:
        whole = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **body}
        self._send("PATCH", f"{path}/{name}", "application/apply-patch+yaml", whole, fieldManager="test", force="true")

    def _send(
        self, method: str, path: str, content_type: str, body: Mapping[str, Any], **query: str
    ) -> KubernetesObject:
        content = json.dumps(body).encode()
        call = Call(verb=method.lower(), kind=path)
        question = Question(call=call, method=method, path=path, query=query, content_type=content_type, body=content)
        answer = self._admin.ask(question)
        assert 200 <= answer.status < 300, f"{method} {path}: {answer.status} {answer.body.decode()[:500]}"
        parsed: KubernetesObject = json.loads(answer.body)
        return parsed

    def close(self) -> None:
        """End the operators and drop the ledger; namespaces go in the background."""
        for operator in self.operators:
            operator.kill()
        for namespace in {self.namespace, *self.watched_namespaces}:
            self._release_finalizers(namespace)
            self.kubectl.run("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")
        if self._rules is not None:
            name = f"test-{self.namespace}"
            self.kubectl.run("delete", f"clusterrole/{name}", f"clusterrolebinding/{name}", "--wait=false")
        self._admin.close()
        if self._log is not None:
            self._log.close()
        self.database.drop()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self.check()
        finally:
            self.close()

    def _release_finalizers(self, namespace: str) -> None:
        """Without an operator nobody else would."""
        patch = '{"metadata":{"finalizers":null}}'
        names = self.kubectl.run("get", "obsp", "-n", namespace, "-o", "name").stdout.split()
        if names:
            self.kubectl.run("patch", *names, "-n", namespace, "--type=merge", "-p", patch)

    def _write_mounts(self) -> None:
        """The files that a pod of the Deployment would have."""
        mount = self.directory / "database"
        mount.mkdir()
        (mount / "uri").write_text(self.database.dsn)
        (mount / "hmac-key").write_text(HMAC_KEY)
        self.token_file = self.directory / "token"
        self.write_token()
        config = yaml.safe_load(self.plane.kubeconfig.read_text())
        for user in config["users"]:
            user["user"] = {"tokenFile": str(self.token_file)}
        if self._through_proxy and isinstance(self.plane, ControlPlane):
            for cluster in config["clusters"]:
                cluster["cluster"]["server"] = self.plane.proxy_url
        self.operator_kubeconfig = self.directory / "operator.kubeconfig"
        self.operator_kubeconfig.write_text(yaml.safe_dump(config))

    def write_token(self, seconds: int = 3600) -> str:
        """A fresh token of the ServiceAccount in the token file, as the kubelet keeps it; the token."""
        namespace = SYSTEM_NAMESPACE if self._rules is None else self.namespace
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{SERVICE_ACCOUNT}/token"
        answer = self.post(path, {"spec": {"expirationSeconds": seconds}})
        token = str(answer["status"]["token"])
        self.secret_values.add(token)
        beside = self.token_file.with_name("token.new")
        beside.write_text(token)
        beside.rename(self.token_file)
        return token

    # -- operators -------------------------------------------------------------------------------------------------

    def operator(self, **settings: object) -> OperatorProcess:
        """A replica that is not started yet; settings by their names, e.g. `retries_max=2`."""
        environment = {key: value.replace(MOUNT, str(self.directory / "database")) for key, value in self._mounted()}
        environment["KUBECONFIG"] = str(self.operator_kubeconfig)
        chosen = {**QUICK, **{key.upper(): str(value) for key, value in settings.items()}}
        if self.watched_namespaces:
            chosen.setdefault("NAMESPACES", ",".join(self.watched_namespaces))
        environment |= {f"STACKLEDGER_{key}": value for key, value in chosen.items()}
        process = OperatorProcess(self.directory, environment, f"operator-{len(self.operators)}")
        self.operators.append(process)
        return process

    def _mounted(self) -> list[tuple[str, str]]:
        return list(deployment_environment().items())

    def operate(self, **settings: object) -> OperatorProcess:
        """Start one more replica, and wait until it is ready."""
        process = self.operator(**settings)
        process.start()
        process.wait_ready()
        return process

    # -- the ledger ------------------------------------------------------------------------------------------------

    @property
    def log(self) -> EventLog:
        """The ledger, to read from."""
        if self._log is None:
            self._log = open_log(self.database.dsn)
        return self._log

    def recorded(self, stream_id: str | None = None) -> list[RecordedEvent]:
        """Every event of a stream (a platform's uid), or of the whole log."""
        if stream_id:
            return self.log.read_stream(stream_id)
        events: list[RecordedEvent] = []
        while page := self.log.read_all(events[-1].position if events else 0):
            events += page
        return events

    def events(self, kind: type[Event], stream_id: str | None = None) -> list[Any]:
        """Every recorded event of a type, in order."""
        return [event for recorded in self.recorded(stream_id) if isinstance(event := decode(recorded), kind)]

    def state(self, uid: str) -> PlatformState:
        """The stored projection."""
        stored = self.log.load_state(uid)
        assert stored is not None, f"nothing is stored for {uid}"
        return msgspec.json.decode(stored.record.state, type=PlatformState)

    def phases(self, uid: str) -> list[str]:
        """Every phase that was entered, in order; a minor update enters Ready again."""
        return [str(event.to_phase) for event in self.events(PhaseChanged, uid)]

    def is_closed(self, uid: str) -> bool:
        """Whether the stream of a deleted platform has ended."""
        stored = self.log.load_state(uid)
        return stored is not None and stored.record.closed

    def stackledger(self, *args: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run the command line against this ledger, as an administrator would."""
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.directory), "STACKLEDGER_DSN": self.database.dsn}
        command = [*stackledger_command(), *args]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds)

    # -- the user --------------------------------------------------------------------------------------------------

    def apply(self, spec: Mapping[str, Any], name: str = "prod", namespace: str = "", **metadata: Any) -> str:
        """`kubectl apply --server-side`; the platform's uid."""
        namespace = namespace or self.namespace
        body = {
            "apiVersion": PLATFORM.api_version,
            "kind": PLATFORM.kind,
            "metadata": {"name": name, "namespace": namespace, **metadata},
            "spec": dict(spec),
        }
        return str(self.cluster.apply(PLATFORM, namespace, body, manager="kubectl")["metadata"]["uid"])

    def install(
        self, spec: Mapping[str, Any], name: str = "prod", namespace: str = "", seconds: float = SECONDS_MAX
    ) -> str:
        """Apply and wait until it is Ready for what was applied; the uid."""
        uid = self.apply(spec, name, namespace)
        self.wait_ready(name, namespace, seconds)
        return uid

    def delete(self, name: str = "prod", namespace: str = "", resource: Resource = PLATFORM) -> None:
        """`kubectl delete --wait=false`."""
        found = self.cluster.get(resource, namespace or self.namespace, name)
        assert found is not None, f"{resource.kind}/{name} is not there"
        self.cluster.delete(resource, namespace or self.namespace, name, uid=found["metadata"]["uid"])

    def remove(self, name: str = "prod", namespace: str = "", seconds: float = SECONDS_MAX) -> None:
        """Delete the platform and wait until it is gone."""
        self.delete(name, namespace)
        self.wait("gone", lambda: self.platform(name, namespace) is None, seconds)

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> KubernetesObject | None:
        """Any namespaced object the operator knows."""
        return self.cluster.get(resource_for(api_version, kind), namespace or self.namespace, name)

    def children(self, resource: Resource, name: str = "prod", namespace: str = "") -> list[KubernetesObject]:
        """Objects of a kind that carry the platform's label."""
        selector = f"stackledger.io/platform={name}"
        return self.cluster.list_all(resource, namespace or self.namespace, selector).items

    def secret(self, name: str, values: Mapping[str, str], namespace: str = "", grant: str = "ANY") -> None:
        """A Secret as a user makes it, with the label that lets platforms use it (none if `grant` is empty)."""
        namespace = namespace or self.namespace
        self.secret_values |= {value for value in values.values() if len(value) >= 8}
        labels = {"stackledger.io/allow": grant} if grant else {}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "data": data,
        }
        self.cluster.apply(SECRET, namespace, body, manager="user")

    def platform(self, name: str = "prod", namespace: str = "") -> KubernetesObject | None:
        """The resource."""
        return self.cluster.get(PLATFORM, namespace or self.namespace, name)

    def status(self, name: str = "prod", namespace: str = "") -> dict[str, Any]:
        """Its `.status`."""
        return dict((self.platform(name, namespace) or {}).get("status") or {})

    def phase(self, name: str = "prod", namespace: str = "") -> str:
        """Its `.status.phase`; "" before there is one."""
        return str(self.status(name, namespace).get("phase", ""))

    def condition(self, kind: str, name: str = "prod", namespace: str = "") -> tuple[str, str]:
        """(status, reason) of a condition; ("", "") if there is none."""
        found = self._conditions(name, namespace).get(kind, {})
        return found.get("status", ""), found.get("reason", "")

    def message(self, kind: str = "Ready", name: str = "prod", namespace: str = "") -> str:
        """What a condition says."""
        return str(self._conditions(name, namespace).get(kind, {}).get("message", ""))

    def _conditions(self, name: str, namespace: str) -> dict[str, dict[str, Any]]:
        return {condition["type"]: condition for condition in self.status(name, namespace).get("conditions", ())}

    def is_ready(self, name: str = "prod", namespace: str = "") -> bool:
        """Ready for the generation that is there now."""
        found = self.platform(name, namespace)
        if found is None:
            return False
        conditions = {c["type"]: c for c in (found.get("status") or {}).get("conditions", ())}
        ready = conditions.get("Ready", {})
        return bool(
            ready.get("status") == "True" and ready.get("observedGeneration") == found["metadata"]["generation"]
        )

    def kubernetes_events(self, name: str = "prod", namespace: str = "") -> list[KubernetesObject]:
        """The Events about a platform, oldest first."""
        found = self.cluster.list_all(EVENT, namespace or self.namespace).items
        return sorted(
            (event for event in found if event.get("regarding", {}).get("name") == name),
            key=lambda event: (str(event.get("eventTime")), event["metadata"]["name"]),
        )

    # -- waiting ---------------------------------------------------------------------------------------------------

    def wait(self, what: str, met: Callable[[], Any], seconds: float = SECONDS_MAX) -> None:
        """Until it is so, or fail and say what is instead."""
        deadline = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < deadline, f"not {what} after {seconds} s\n{self.report()}"
            time.sleep(0.05)

    def wait_ready(self, name: str = "prod", namespace: str = "", seconds: float = SECONDS_MAX) -> None:
        """Until Ready for the generation that is there now."""
        self.wait(f"{name} Ready", lambda: self.is_ready(name, namespace), seconds)

    def wait_reason(self, reason: str, condition: str = "Ready", name: str = "prod", namespace: str = "") -> str:
        """Until a condition has this reason; what it says then."""
        self.wait(f"{condition}/{reason}", lambda: self.condition(condition, name, namespace)[1] == reason)
        return self.message(condition, name, namespace)

    def wait_phase(self, phase: str, name: str = "prod", namespace: str = "") -> None:
        """Until `.status.phase` is this one."""
        self.wait(f"{name} {phase}", lambda: self.phase(name, namespace) == phase)

    def report(self) -> str:
        """What a failing test shows: every platform's status, and the end of every operator's log."""
        found = []
        for platform in self.cluster.list_all(PLATFORM).items:
            if platform["metadata"]["namespace"] in {self.namespace, *self.watched_namespaces}:
                shown = {key: value for key, value in (platform.get("status") or {}).items() if key != "history"}
                found.append(f"{platform['metadata']['name']}: {json.dumps(shown, indent=1)}")
        return "\n".join([*found, *(f"--- {one.name}\n{one.tail()}" for one in self.operators)])

    # -- breaking and counting -------------------------------------------------------------------------------------

    @property
    def node(self) -> NodeHands:
        """The nodes, to break pods on; the test is skipped on a cluster whose nodes are not ours."""
        if self.plane.node is None:
            pytest.skip("needs nodes whose pods can be broken: not on the cluster of STACKLEDGER_TEST_KUBECONFIG")
        return self.plane.node

    @property
    def faults(self) -> ProxyFaults:
        """The way to the API server, to break and to count on; the test is skipped where there is no proxy."""
        if self.plane.faults is None:
            pytest.skip("needs the fault proxy: not on the cluster of STACKLEDGER_TEST_KUBECONFIG")
        return self.plane.faults

    def calls(self, *verbs: str, resource: str = "") -> Counter[tuple[str, str]]:
        """(verb, resource[.group][/subresource]) -> calls that operators sent about the stage's namespaces so far.

        A stage whose operators look after all namespaces counts every call of any operator.
        """
        found: Counter[tuple[str, str]] = Counter()
        for one in self.faults.counts():
            mine = not self.watched_namespaces or one.namespace in self.watched_namespaces
            if not mine or not one.user_agent.startswith("stackledger/"):
                continue
            key = (one.verb, one.resource + (f"/{one.subresource}" if one.subresource else ""))
            if (not verbs or one.verb in verbs) and (not resource or key[1] == resource):
                found[key] += one.count
        return found

    # -- what holds at the end of every test -----------------------------------------------------------------------

    def check(self) -> None:
        """No secret and no traceback in any log; every stream verifies and replays to the same decisions."""
        self.check_logs()
        self.check_ledger()

    def check_logs(self) -> None:
        """No traceback, and no secret in what the operators wrote, recorded and said."""
        self._learn_secrets()
        # Not the specs: there the user may have written one.
        told = json.dumps([one.get("status") for one in self.cluster.list_all(PLATFORM).items], ensure_ascii=False)
        told += json.dumps(self.cluster.list_all(EVENT).items, ensure_ascii=False)
        ledger = "\n".join(record.payload.decode() for record in self.recorded())
        for operator in self.operators:
            output = operator.output()
            assert "Traceback" not in output, f"{operator.name}\n{output[output.index('Traceback') - 500 :][:6000]}"
            # What deploy/base permits is enough: a call that is not permitted is a rule that lacks.
            assert self._rules is not None or "PermissionDenied" not in output, operator.tail()
            self._check_nowhere(output, f"the log of {operator.name}")
        self._check_nowhere(told, "statuses and Events")
        self._check_nowhere(ledger, "the ledger")

    def _check_nowhere(self, text: str, where: str) -> None:
        for value in self.secret_values:
            for form in (value, base64.b64encode(value.encode()).decode().rstrip("=")):
                found = text.find(form)
                assert found < 0, f"a secret in {where}: ...{text[max(0, found - 300) : found]}<here>"

    def _learn_secrets(self) -> None:
        """Whatever Secrets hold now is secret too: the generated passwords."""
        for namespace in {self.namespace, *self.watched_namespaces}:
            for found in self.cluster.list_all(SECRET, namespace).items:
                values = (base64.b64decode(value).decode(errors="replace") for value in found.get("data", {}).values())
                self.secret_values |= {value for value in values if len(value) >= 12}

    def check_ledger(self) -> None:
        """Every stream is whole, and this build decides again as it did."""
        for stream_id in self.log.stream_ids():
            report = verify_stream(self.log, stream_id)
            assert report.faults == (), report.faults
            divergence = replay(self.log.read_stream(stream_id)).divergence
            assert divergence is None, divergence


def edited(spec: Mapping[str, Any], component: str, **fields: Any) -> dict[str, Any]:
    """The spec with these fields of a component, which is added if need be."""
    changed = copy.deepcopy(dict(spec))
    changed["components"].setdefault(component, {}).update(fields)
    return changed


def _with_namespace(kubeconfig: str, namespace: str) -> str:
    """The same, with every context in this namespace."""
    config = yaml.safe_load(kubeconfig)
    for context in config["contexts"]:
        context["context"]["namespace"] = namespace
    return yaml.safe_dump(config)
