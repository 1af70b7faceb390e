"""A real kubectl does the same to every server, and prints the same."""

import json
import time
from typing import Any

import pytest
import yaml

from tests.contract.samples import platform, workload
from tests.contract.server import PLATFORMS, Object, Server, eventually

WEB = yaml.safe_dump(workload(replicas=2))
PROD = yaml.safe_dump(platform())


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


def condition(kind: str, status: str, **fields: Any) -> Object:
    since = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"type": kind, "status": status, "reason": "R", "message": "m", **since, **fields}


def write_status(server: Server, status: Object, name: str = "prod") -> None:
    server.patch(platform(name), {"status": status}, subresource="status").ok()


# -- get, describe, events -----------------------------------------------------------------------------------------


def test_get_prints_our_columns(server: Server) -> None:
    assert "No resources found in" in server.kubectl.run("get", "obsp").stderr
    server.kubectl.ok("apply", "-f", "-", stdin=PROD)
    status = {"phase": "Ready", "componentsReady": "1/1", "conditions": [condition("Ready", "True")]}
    write_status(server, status)
    head, row = lines(server.kubectl.ok("get", "obsp"))
    assert head == ["NAME", "READY", "PHASE", "COMPONENTS", "REASON", "AGE"]
    assert row[:5] == ["prod", "True", "Ready", "1/1", "R"]
    head, row = lines(server.kubectl.ok("get", "obsp", "prod", "-o", "wide"))
    assert head == ["NAME", "READY", "PHASE", "COMPONENTS", "REASON", "SEQ", "PAUSED", "MESSAGE", "AGE"]
    assert row[5:8] == ["false", "m", row[7]]
    assert server.kubectl.ok("get", "obsp", "-A", "--field-selector", "metadata.name=prod", "--no-headers").count(
        server.namespace
    )
    assert server.kubectl.ok("get", "obsp", "-o", "jsonpath={.items[*].status.phase}") == "Ready"
    shown = yaml.safe_load(server.kubectl.ok("get", "obsp", "prod", "-o", "yaml"))
    assert (shown["kind"], "managedFields" in shown["metadata"]) == ("ObservabilityPlatform", False)
    text = server.kubectl.refused("get", "obsp", "nope")
    assert text.strip() == 'Error from server (NotFound): observabilityplatforms.observability.io "nope" not found'


def test_get_watches_in_one_table(server: Server) -> None:
    server.kubectl.ok("apply", "-f", "-", stdin=PROD)
    watching = server.kubectl.start("get", "obsp", "-w")
    assert watching.stdout is not None
    head, first = watching.stdout.readline(), watching.stdout.readline()
    assert (head.split()[0], first.split()[0]) == ("NAME", "prod")
    write_status(server, {"phase": "Installing"})
    assert watching.stdout.readline().split()[:2] == ["prod", "Installing"]
    watching.kill()
    watching.communicate(timeout=20)


def test_describe_shows_the_object_and_its_events(server: Server) -> None:
    created = server.create(platform()).ok()
    about = {"kind": "ObservabilityPlatform", "name": "prod", "namespace": server.namespace}
    body = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "prod.1"},
        "regarding": {**about, "uid": created["metadata"]["uid"], "apiVersion": created["apiVersion"]},
        "reason": "PhaseChanged",
        "note": "from Pending to Installing",
        "type": "Normal",
        "action": "Reconcile",
        "reportingController": "stackledger",
        "reportingInstance": "i",
        "eventTime": "2026-01-01T00:00:00.000000Z",
    }
    server.create(body).ok()
    described = server.kubectl.ok("describe", "obsp", "prod")
    assert "Kind:         ObservabilityPlatform" in described
    events = " ".join(described.split("Events:")[1].split())
    assert "Normal PhaseChanged" in events
    assert "stackledger from Pending to Installing" in events
    (_, row) = lines(server.kubectl.ok("events", "--for", "obsp/prod"))
    assert row[1:4] == ["Normal", "PhaseChanged", "ObservabilityPlatform/prod"]
    (_, row) = lines(server.kubectl.ok("get", "events"))
    assert row[1:4] == ["Normal", "PhaseChanged", "observabilityplatform/prod"]


# -- apply, diff, edit, patch --------------------------------------------------------------------------------------


def test_apply_says_what_it_did(server: Server) -> None:
    name = "observabilityplatform.observability.io/prod"
    assert server.kubectl.ok("apply", "--dry-run=server", "-f", "-", stdin=PROD) == f"{name} created (server dry run)\n"
    assert server.kubectl.ok("apply", "-f", "-", stdin=PROD) == f"{name} created\n"
    assert server.kubectl.ok("apply", "-f", "-", stdin=PROD) == f"{name} unchanged\n"
    paused = yaml.safe_dump(platform(components={"grafana": {"enabled": True}}, paused=True))
    assert server.kubectl.ok("apply", "-f", "-", stdin=paused) == f"{name} configured\n"
    # What is left out of the file is taken back; the default comes again.
    assert server.kubectl.ok("apply", "-f", "-", stdin=PROD) == f"{name} configured\n"
    assert server.kubectl.ok("get", "obsp", "prod", "-o", "jsonpath={.spec.paused}") == "false"
    assert server.kubectl.ok("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=PROD) == (
        f"{name} serverside-applied\n"
    )


def test_diff_shows_what_an_apply_would_change(server: Server) -> None:
    assert "+  kind: ObservabilityPlatform" not in server.kubectl.run("diff", "-f", "-", stdin=PROD).stderr
    server.kubectl.ok("apply", "-f", "-", stdin=PROD)
    assert server.kubectl.ok("diff", "-f", "-", stdin=PROD) == ""
    paused = yaml.safe_dump(platform(components={"grafana": {"enabled": True}}, paused=True))
    done = server.kubectl.run("diff", "-f", "-", stdin=paused)
    assert done.returncode == 1
    changes = {line for line in done.stdout.splitlines() if line.startswith(("-  ", "+  "))}
    assert changes == {"-  generation: 1", "+  generation: 2", "-  paused: false", "+  paused: true"}
    assert server.kubectl.ok("get", "obsp", "prod", "-o", "jsonpath={.spec.paused}") == "false"


def test_a_refused_apply_says_why(server: Server) -> None:
    body = yaml.safe_dump(platform(components={"prometheus": {"enabled": False}}))
    text = server.kubectl.refused("apply", "-f", "-", stdin=body)
    assert text.strip() == (
        'The ObservabilityPlatform "prod" is invalid: spec: Invalid value: '
        "at least one component must be enabled; set components.prometheus.enabled: true"
    )
    body = yaml.safe_dump(platform(components={"prometheus": {"replicas": "3"}}))
    text = server.kubectl.refused("apply", "-f", "-", stdin=body)
    assert text.startswith('The ObservabilityPlatform "prod" is invalid: \n* spec.components.prometheus.replicas: ')
    body = yaml.safe_dump(platform(components={"promethues": {}, "grafana": {"enabled": True}}))
    text = server.kubectl.refused("apply", "-f", "-", stdin=body)
    assert 'strict decoding error: unknown field "spec.components.promethues"' in text
    assert "Warning" in server.kubectl.run("apply", "--validate=warn", "-f", "-", stdin=body).stderr


def test_patch_and_edit_and_annotate(server: Server) -> None:
    server.kubectl.ok("apply", "-f", "-", stdin=PROD)
    name = "observabilityplatform.observability.io/prod"
    patch = ("patch", "obsp", "prod", "--type=merge", "-p", '{"spec":{"paused":true}}')
    assert server.kubectl.ok(*patch) == f"{name} patched\n"
    assert server.kubectl.ok(*patch) == f"{name} patched (no change)\n"
    assert server.kubectl.ok("annotate", "obsp", "prod", "stackledger.io/retry-at=now") == f"{name} annotated\n"
    assert server.kubectl.ok("label", "obsp", "prod", "a=b") == f"{name} labeled\n"
    text = server.kubectl.refused("patch", "obsp", "prod", "-p", '{"spec":{"paused":false}}')
    assert "UnsupportedMediaType" in text or "application/strategic-merge-patch+json is not supported" in text
    status = '{"status":{"phase":"Ready"}}'
    assert server.kubectl.ok("patch", "obsp", "prod", "--subresource=status", "--type=merge", "-p", status)
    assert (
        server.kubectl.ok("get", "obsp", "prod", "-o", "jsonpath={.status.phase} {.metadata.generation}") == "Ready 2"
    )
    edited = server.kubectl.run("edit", "obsp", "prod", editor="sed -i s/paused:.true/paused:\\ false/")
    assert (edited.returncode, edited.stdout) == (0, f"{name} edited\n"), edited.stderr
    assert server.kubectl.ok("get", "obsp", "prod", "-o", "jsonpath={.spec.paused}") == "false"


def test_a_conflict_names_manager_and_field(server: Server) -> None:
    server.kubectl.ok("apply", "--server-side", "--field-manager=one", "-f", "-", stdin=WEB)
    three = yaml.safe_dump(workload(replicas=3))
    text = server.kubectl.refused("apply", "--server-side", "--field-manager=two", "-f", "-", stdin=three)
    assert 'Apply failed with 1 conflict: conflict with "one": .spec.replicas' in text
    server.kubectl.ok("apply", "--server-side", "--field-manager=two", "--force-conflicts", "-f", "-", stdin=three)
    assert server.kubectl.ok("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "3"


def test_our_definition_is_applied_and_unchanged(server: Server) -> None:
    """As deploy/ says it is done: on the server, for its size."""
    command = ("apply", "--server-side", "--force-conflicts", "-f", str(PLATFORMS))
    name = "customresourcedefinition.apiextensions.k8s.io/observabilityplatforms.observability.io"
    assert server.kubectl.ok(*command) == f"{name} serverside-applied\n"
    done = server.kubectl.run(*command)
    assert (done.returncode, done.stderr) == (0, "")


# -- wait ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("generation", "status", "met"),
    [
        # The definition's default, "nothing seen", stands in for what nobody said.
        (1, {"conditions": [condition("Ready", "True")]}, False),
        (1, {"conditions": [condition("Ready", "True", observedGeneration=1)]}, True),
        (2, {"conditions": [condition("Ready", "True")]}, False),
        (2, {"conditions": [condition("Ready", "True", observedGeneration=1)]}, False),
        (2, {"conditions": [condition("Ready", "True", observedGeneration=2)]}, True),
        (2, {"observedGeneration": 1, "conditions": [condition("Ready", "True")]}, False),
        (2, {"observedGeneration": 2, "conditions": [condition("Ready", "True")]}, True),
        (2, {"observedGeneration": 1, "conditions": [condition("Ready", "True", observedGeneration=2)]}, True),
        (2, {"observedGeneration": 2, "conditions": [condition("Ready", "True", observedGeneration=1)]}, False),
        (1, {"conditions": [condition("Ready", "False")]}, False),
        (1, {}, False),
    ],
)
def test_wait_for_ready_believes_only_what_speaks_of_this_generation(
    server: Server, generation: int, status: Object, met: bool
) -> None:
    server.create(platform()).ok()
    for count in range(1, generation):
        server.patch(platform(), {"spec": {"paused": bool(count % 2)}}).ok()
    write_status(server, status)
    shown = server.get(platform()).ok()
    assert shown["metadata"]["generation"] == generation
    assert shown["status"]["observedGeneration"] == status.get("observedGeneration", -1)
    done = server.kubectl.run("wait", "--for=condition=Ready", "obsp/prod", "--timeout=1s")
    if met:
        assert done.stdout == "observabilityplatform.observability.io/prod condition met\n", done.stderr
    else:
        assert done.returncode == 1
        assert "timed out waiting for the condition on observabilityplatforms/prod" in done.stderr


def test_wait_sees_the_condition_come_for_the_new_generation(server: Server) -> None:
    server.create(platform()).ok()
    ready = [condition("Ready", "True", observedGeneration=1)]
    write_status(server, {"observedGeneration": 1, "conditions": ready})
    server.patch(platform(), {"spec": {"paused": True}}).ok()
    began = time.monotonic()
    waiting = server.kubectl.start("wait", "--for=condition=Ready", "obsp/prod", "--timeout=20s")
    time.sleep(1.0)
    assert waiting.poll() is None
    ready = [condition("Ready", "True", observedGeneration=2)]
    write_status(server, {"observedGeneration": 2, "conditions": ready})
    out, err = waiting.communicate(timeout=20)
    assert (out, err) == ("observabilityplatform.observability.io/prod condition met\n", "")
    assert time.monotonic() - began < 15


def test_wait_for_a_path_a_deletion_and_a_creation(server: Server) -> None:
    waiting = server.kubectl.start("wait", "--for=create", "obsp/prod", "--timeout=20s")
    time.sleep(0.5)
    server.create(platform()).ok()
    assert waiting.wait(20) == 0
    write_status(server, {"phase": "Ready"})
    assert "condition met" in server.kubectl.ok("wait", "obsp/prod", "--for=jsonpath={.status.phase}=Ready")
    waiting = server.kubectl.start("wait", "obsp/prod", "--for=delete", "--timeout=20s")
    time.sleep(0.5)
    server.delete(platform()).ok()
    assert waiting.wait(20) == 0


# -- rollout, scale, delete ----------------------------------------------------------------------------------------


def test_a_deployment_rolls_out_scales_restarts_and_is_undone(server: Server) -> None:
    kubectl = server.kubectl
    kubectl.ok("apply", "-f", "-", stdin=WEB)
    done = 'deployment "web" successfully rolled out'
    assert done in kubectl.ok("rollout", "status", "deploy/web", "--timeout=30s")
    kubectl.ok("set", "image", "deploy/web", "main=web:2.0")
    assert done in kubectl.ok("rollout", "status", "deploy/web", "--timeout=30s")
    assert [row[0] for row in lines(kubectl.ok("rollout", "history", "deploy/web"))[2:]] == ["1", "2"]
    kubectl.ok("rollout", "undo", "deploy/web")
    assert done in kubectl.ok("rollout", "status", "deploy/web", "--timeout=30s")
    image = kubectl.ok("get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    assert image == "web:1.0"
    assert kubectl.ok("scale", "deploy/web", "--replicas=1") == "deployment.apps/web scaled\n"
    eventually(lambda: lines(kubectl.ok("get", "deploy"))[1][1:4] == ["1/1", "1", "1"], "one pod is left")
    kubectl.ok("rollout", "restart", "deploy/web")
    assert done in kubectl.ok("rollout", "status", "deploy/web", "--timeout=30s")
    described = kubectl.ok("describe", "deploy", "web")
    assert "NewReplicaSetAvailable" in described
    assert "ScalingReplicaSet" in described.split("Events:")[1]


def test_a_stateful_set_rolls_out(server: Server) -> None:
    server.kubectl.ok("apply", "-f", "-", stdin=yaml.safe_dump(workload("StatefulSet", replicas=2)))
    out = server.kubectl.ok("rollout", "status", "sts/web", "--timeout=30s")
    assert "partitioned roll out complete: 2 new pods have been updated..." in out
    server.kubectl.ok("rollout", "restart", "sts/web")
    out = server.kubectl.ok("rollout", "status", "sts/web", "--timeout=30s")
    assert "partitioned roll out complete: 2 new pods have been updated..." in out


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_deleting_a_deployment_takes_its_pods_along(server: Server, cascade: str) -> None:
    server.kubectl.ok("apply", "-f", "-", stdin=WEB)
    server.kubectl.ok("rollout", "status", "deploy/web", "--timeout=30s")
    out = server.kubectl.ok("delete", "deploy", "web", f"--cascade={cascade}", "--timeout=30s")
    assert out == f'deployment.apps "web" deleted from {server.namespace} namespace\n'
    if cascade == "background":
        eventually(lambda: "No resources" in server.kubectl.run("get", "pods,rs").stderr, "pods are gone")
    assert "No resources found" in server.kubectl.run("get", "pods,rs").stderr


def test_an_orphaning_deletion_leaves_the_replica_set(server: Server) -> None:
    server.kubectl.ok("apply", "-f", "-", stdin=WEB)
    server.kubectl.ok("rollout", "status", "deploy/web", "--timeout=30s")
    server.kubectl.ok("delete", "deploy", "web", "--cascade=orphan", "--timeout=30s")
    (replica_set,) = json.loads(server.kubectl.ok("get", "rs", "-o", "json"))["items"]
    assert "ownerReferences" not in replica_set["metadata"]
    assert len(lines(server.kubectl.ok("get", "pods", "--no-headers"))) == 2


def test_delete_waits_for_a_finalizer_unless_told_not_to(server: Server) -> None:
    body = platform()
    body["metadata"]["finalizers"] = ["stackledger.io/teardown"]
    server.kubectl.ok("apply", "-f", "-", stdin=yaml.safe_dump(body))
    said = f'observabilityplatform.observability.io "prod" deleted from {server.namespace} namespace\n'
    assert server.kubectl.ok("delete", "obsp", "prod", "--wait=false") == said
    waiting = server.kubectl.start("delete", "obsp", "prod", "--timeout=20s")
    time.sleep(0.7)
    assert waiting.poll() is None
    server.kubectl.ok("patch", "obsp", "prod", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    assert waiting.wait(20) == 0
    assert server.kubectl.ok("delete", "obsp", "prod", "--ignore-not-found") == ""


def test_deleting_a_namespace_empties_it(server: Server) -> None:
    name = f"{server.namespace}-gone"
    server.kubectl.ok("create", "namespace", name)
    server.kubectl.ok("create", "configmap", "c", "--from-literal=a=b", "-n", name)
    server.kubectl.ok("apply", "-n", name, "-f", "-", stdin=PROD)
    assert f'namespace "{name}" deleted' in server.kubectl.ok("delete", "namespace", name, "--timeout=30s")
    assert "NotFound" in server.kubectl.refused("get", "ns", name)
    text = server.kubectl.refused("create", "configmap", "c", "-n", name)
    assert f'namespaces "{name}" not found' in text


def test_text_of_all_planes_survives(server: Server) -> None:
    server.kubectl.ok("create", "configmap", "c", "--from-literal=a=ü🔭")
    assert server.kubectl.ok("get", "cm", "c", "-o", "jsonpath={.data.a}") == "ü🔭"
    server.kubectl.ok(
        "apply", "-f", "-", stdin=yaml.safe_dump({**platform(), "metadata": {"name": "p", "annotations": {"a": "🔭"}}})
    )
    assert server.kubectl.ok("get", "obsp", "p", "-o", "jsonpath={.metadata.annotations.a}") == "🔭"


def test_an_unknown_kind_is_reported(server: Server) -> None:
    text = server.kubectl.refused(
        "apply", "-f", "-", stdin="apiVersion: foo.example/v1\nkind: Foo\nmetadata: {name: x}\n"
    )
    assert 'no matches for kind "Foo" in version "foo.example/v1"' in text
    assert 'error: the server doesn\'t have a resource type "nonsense"' in server.kubectl.refused("get", "nonsense")
