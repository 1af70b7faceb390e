"""What the operator costs: an install beside a bare client, a platform at rest, the time until an edit is seen."""

import copy
import logging
import tempfile
import time
from functools import partial
from pathlib import Path

import structlog
import yaml

from benchmarks.table import Row, compared, limited, reported
from eventstore import events as e
from eventstore.vocabulary import FIELD_MANAGER
from projections.platform import WORKLOAD_KINDS
from reconciler.shell.cluster import KubernetesObject, Resource
from reconciler.shell.resources import resource_for
from tests.operator.stage import NAMESPACE, WRITES, Stage

FULL = Path(__file__).parent.parent / "examples" / "full.yaml"
REST_SECONDS = 5.0
#: A poll would find a change after the resync at the earliest; the watch has to be this much faster.
CHANGE_SEEN_SECONDS_MAX = 1.0
#: The operator may take so much longer than a client that only applies and waits.
INSTALL_RATIO_MIN = 1 / 1.5


def run() -> list[Row]:
    """Install examples/full.yaml, leave it alone, edit it; then the same objects by a client without a ledger."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    spec = yaml.safe_load(FULL.read_text())["spec"]
    with tempfile.TemporaryDirectory() as directory:
        stage = Stage(Path(directory)).open()
        try:
            return _measure(stage, spec)
        finally:
            stage.close()


def _measure(stage: Stage, spec: KubernetesObject) -> list[Row]:
    stage.operate(stability_seconds=0)
    calls = stage.calls()
    began = time.perf_counter()
    stage.install(spec)
    seconds = time.perf_counter() - began
    operator_calls = _written(stage)
    time.sleep(2.0)
    rest = _at_rest(stage)
    change = _change(stage, spec)
    manifests = _children(stage)
    bare = _bare_install(stage, manifests)
    return [
        compared("installs of a full platform", 1 / seconds, "/s", "bare client", 1 / bare, at_least=INSTALL_RATIO_MIN),
        reported("API writes of an install", float(operator_calls), "calls"),
        reported("objects of a full platform", float(len(manifests)), "objects"),
        reported("API calls before the install", float(calls), "calls"),
        *rest,
        limited("an edit is recorded after", change, "s", below=CHANGE_SEEN_SECONDS_MAX),
    ]


def _at_rest(stage: Stage) -> list[Row]:
    """Nothing may be appended, written or listed while nothing changes."""
    before = (stage.log.head_position(), _written(stage), stage.calls("list"))
    time.sleep(REST_SECONDS)
    after = (stage.log.head_position(), _written(stage), stage.calls("list"))
    names = ("events appended at rest", "API writes at rest", "lists at rest")
    rows = zip(names, ("events", "calls", "calls"), after, before, strict=True)
    return [limited(name, float(now - then), unit, below=1) for name, unit, now, then in rows]


def _change(stage: Stage, spec: KubernetesObject) -> float:
    """Seconds from the answer to an edit until the ledger holds the verdict on it."""
    accepted = len(stage.events(e.SpecAccepted))
    stage.apply({**spec, "global": {**spec["global"], "logLevel": "warn"}})
    began = time.perf_counter()
    stage.wait("accepted", lambda: len(stage.events(e.SpecAccepted)) > accepted)
    seconds = time.perf_counter() - began
    stage.wait("Ready", stage.is_ready)
    return seconds


def _written(stage: Stage) -> int:
    """Writes by anybody but the emulated cluster itself, which does not call its own API."""
    return stage.calls(*WRITES)


def _children(stage: Stage) -> list[KubernetesObject]:
    found = []
    for child in stage.state().objects.values():
        live = stage.get(child.ref.api_version, child.ref.kind, child.ref.name)
        assert live is not None
        kept: KubernetesObject = {
            key: live[key] for key in ("apiVersion", "kind", "spec", "data", "type") if key in live
        }
        labels = live["metadata"].get("labels", {})
        metadata = {"name": f"bare-{live['metadata']['name']}", "labels": labels}
        found.append({**kept, "metadata": metadata})
    return found


def _bare_install(stage: Stage, manifests: list[KubernetesObject]) -> float:
    """The limit: apply the same objects in the same order, waiting for each workload; no ledger, no decisions."""
    began = time.perf_counter()
    for manifest in manifests:
        resource = resource_for(manifest["apiVersion"], manifest["kind"])
        body = _renamed(manifest)
        stage.cluster.apply(resource, NAMESPACE, body, manager=FIELD_MANAGER)
        if manifest["kind"] in WORKLOAD_KINDS:
            stage.wait("rolled out", partial(_is_ready, stage, resource, body))
    return time.perf_counter() - began


def _is_ready(stage: Stage, resource: Resource, body: KubernetesObject) -> bool:
    found = stage.cluster.get(resource, NAMESPACE, body["metadata"]["name"])
    return bool(found) and (found or {}).get("status", {}).get("readyReplicas") == 1


def _renamed(manifest: KubernetesObject) -> KubernetesObject:
    """The same object beside the operator's: another name, another selector, no address of its own."""
    body: KubernetesObject = copy.deepcopy(manifest)
    labels: dict[str, str] = {**body["metadata"]["labels"], "app.kubernetes.io/instance": "bare"}
    body["metadata"]["labels"] = {key: value for key, value in labels.items() if "managed-by" not in key}
    spec: KubernetesObject = body.get("spec") or {}
    for key in ("clusterIP", "clusterIPs"):
        if spec.get(key) != "None" and spec.get(key) != ["None"]:
            spec.pop(key, None)
    if body["kind"] in WORKLOAD_KINDS:
        spec["selector"]["matchLabels"] = spec["template"]["metadata"]["labels"] = labels
    return body
