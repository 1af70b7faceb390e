"""A real kubectl does to the sandbox what it does to a cluster."""

import json

import pytest

from sandbox.server import SandboxServer
from tests.fixtures.kubectl import Kubectl

WIDGET = """
apiVersion: example.com/v1beta1
kind: Widget
metadata: {name: w1}
spec: {size: 2, version: v1, parts: [{name: x, value: "1"}], tags: [p, q]}
"""
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "web:1.25", ports: [{containerPort: 80}]}
"""
pytestmark = pytest.mark.usefixtures("namespace")


def columns(table: str) -> list[list[str]]:
    return [line.split() for line in table.strip().splitlines()]


def test_get_prints_the_columns_of_the_definition(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", stdin=WIDGET)
    condition = {"type": "Ready", "status": "True", "message": "fine"}
    patch = json.dumps({"status": {"conditions": [condition]}})
    kubectl.ok("patch", "wd", "w1", "--subresource=status", "--type=merge", "-p", patch)
    assert columns(kubectl.ok("get", "wd"))[0] == ["NAME", "READY", "SIZE", "AGE"]
    assert columns(kubectl.ok("get", "wd"))[1][:3] == ["w1", "True", "2"]
    assert columns(kubectl.ok("get", "things", "-o", "wide"))[0] == ["NAME", "READY", "SIZE", "MESSAGE", "AGE"]


def test_get_as_yaml_shows_defaults_and_leaves_managed_fields_out(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", stdin=WIDGET.replace("size: 2, ", ""))
    shown = kubectl.ok("get", "wd", "w1", "-o", "yaml")
    assert "size: 1" in shown
    assert "managedFields" not in shown
    assert "fieldsV1" in kubectl.ok("get", "wd", "w1", "-o", "yaml", "--show-managed-fields")


def test_both_served_versions_show_the_same_object(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", stdin=WIDGET.replace("v1beta1", "v1alpha1"))
    old = json.loads(kubectl.ok("get", "widgets.v1alpha1.example.com", "w1", "-o", "json"))
    new = json.loads(kubectl.ok("get", "widgets.v1beta1.example.com", "w1", "-o", "json"))
    assert (old["apiVersion"], new["apiVersion"]) == ("example.com/v1alpha1", "example.com/v1beta1")
    assert old["spec"] == new["spec"]
    assert old["metadata"]["uid"] == new["metadata"]["uid"]


def test_apply_says_created_unchanged_and_configured(kubectl: Kubectl) -> None:
    assert kubectl.ok("apply", "-f", "-", stdin=WEB) == "deployment.apps/web created\n"
    assert kubectl.ok("apply", "-f", "-", stdin=WEB) == "deployment.apps/web unchanged\n"
    changed = WEB.replace("web:1.25", "web:1.26")
    assert kubectl.ok("diff", "-f", "-", stdin=WEB) == ""
    assert kubectl.run("diff", "-f", "-", stdin=changed).returncode == 1
    assert kubectl.ok("apply", "-f", "-", stdin=changed) == "deployment.apps/web configured\n"
    # The strategic merge patch names the container and leaves its defaulted fields alone.
    container = json.loads(kubectl.ok("get", "deploy", "web", "-o", "json"))["spec"]["template"]["spec"]["containers"][
        0
    ]
    assert (container["image"], container["imagePullPolicy"]) == ("web:1.26", "IfNotPresent")


def test_apply_refuses_an_unknown_field_by_name(kubectl: Kubectl) -> None:
    text = kubectl.refused("apply", "-f", "-", stdin=WIDGET.replace("size: 2", "sise: 2"))
    assert 'unknown field "spec.sise"' in text
    assert 'unknown field "spec.replcas"' in kubectl.refused(
        "apply", "-f", "-", stdin=WEB.replace("replicas", "replcas")
    )


def test_apply_refuses_what_schema_and_rules_forbid(kubectl: Kubectl) -> None:
    text = kubectl.refused("apply", "-f", "-", stdin=WIDGET.replace("size: 2", "size: 9, mode: c"))
    assert 'The Widget "w1" is invalid' in text
    assert "spec.size: Invalid value: 9: spec.size in body should be less than or equal to 5" in text
    assert 'spec.mode: Unsupported value: "c": supported values: "a", "b"' in text
    text = kubectl.refused("apply", "-f", "-", stdin=WIDGET.replace("size: 2", "size: 1, mode: b"))
    assert "mode b needs size above 1" in text


def test_a_server_side_apply_conflict_names_manager_and_field_and_force_takes_it(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "--server-side", "--field-manager=one", "-f", "-", stdin=WEB)
    three = WEB.replace("replicas: 2", "replicas: 3")
    text = kubectl.refused("apply", "--server-side", "--field-manager=two", "-f", "-", stdin=three)
    assert 'Apply failed with 1 conflict: conflict with "one": .spec.replicas' in text
    command = ("apply", "--server-side", "--field-manager=two", "--force-conflicts", "-f", "-")
    assert kubectl.ok(*command, stdin=three) == "deployment.apps/web serverside-applied\n"
    assert kubectl.ok("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "3"


def test_edit_label_annotate_and_scale(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", stdin=WEB)
    kubectl.ok("label", "deploy", "web", "tier=front")
    kubectl.ok("annotate", "deploy", "web", "note=x")
    kubectl.ok("set", "image", "deploy/web", "web=web:2.0")
    kubectl.ok("scale", "deploy", "web", "--replicas=3")
    item = json.loads(kubectl.ok("get", "deploy", "web", "-o", "json"))
    assert item["metadata"]["labels"]["tier"] == "front"
    assert item["metadata"]["annotations"]["note"] == "x"
    assert item["spec"]["template"]["spec"]["containers"][0]["image"] == "web:2.0"
    assert item["spec"]["replicas"] == 3
    assert columns(kubectl.ok("get", "deploy", "-l", "tier=front"))[1][0] == "web"
    kubectl.ok("label", "deploy", "web", "tier-")
    assert "No resources found" in kubectl.run("get", "deploy", "-l", "tier=front").stderr
    kubectl.ok("patch", "deploy", "web", "--type=json", "-p", '[{"op":"replace","path":"/spec/replicas","value":1}]')
    assert kubectl.ok("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "1"


def test_a_deployment_rolls_out_restarts_and_rolls_back(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", stdin=WEB)
    done = 'deployment "web" successfully rolled out'
    assert done in kubectl.ok("rollout", "status", "deploy/web", "--timeout=20s")
    kubectl.ok("rollout", "restart", "deploy/web")
    assert done in kubectl.ok("rollout", "status", "deploy/web", "--timeout=20s")
    assert len(columns(kubectl.ok("get", "rs"))) == 3
    kubectl.ok("rollout", "undo", "deploy/web")
    assert done in kubectl.ok("rollout", "status", "deploy/web", "--timeout=20s")
    assert columns(kubectl.ok("get", "deploy"))[1][:4] == ["web", "2/2", "2", "2"]


def test_wait_for_a_condition_sees_it_come(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", stdin=WEB)
    assert "condition met" in kubectl.ok("wait", "deploy/web", "--for=condition=Available", "--timeout=20s")
    kubectl.ok("apply", "-f", "-", stdin=WIDGET)
    waiting = kubectl.start("wait", "wd/w1", "--for=condition=Ready", "--timeout=20s")
    condition = {"type": "Ready", "status": "True", "observedGeneration": 1}
    patch = json.dumps({"status": {"observedGeneration": 1, "conditions": [condition]}})
    kubectl.ok("patch", "wd", "w1", "--subresource=status", "--type=merge", "-p", patch)
    out, err = waiting.communicate(timeout=20)
    assert "widget.example.com/w1 condition met" in out, err


def test_get_with_watch_prints_each_change(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", stdin=WIDGET)
    watching = kubectl.start("get", "wd", "-w")
    assert watching.stdout is not None
    head, first = watching.stdout.readline(), watching.stdout.readline()
    assert head.split() == ["NAME", "READY", "SIZE", "AGE"]
    assert first.split()[:2] == ["w1", "2"]
    kubectl.ok("patch", "wd", "w1", "--type=merge", "-p", '{"spec":{"size":4}}')
    assert watching.stdout.readline().split()[:2] == ["w1", "4"]
    watching.kill()
    watching.communicate(timeout=20)


def test_describe_shows_the_object_and_its_events(kubectl: Kubectl, namespace: str, server: SandboxServer) -> None:
    server.sandbox.break_workload(namespace, "web", "CrashLoopBackOff")
    kubectl.ok("apply", "-f", "-", stdin=WEB)
    kubectl.ok("wait", "deploy/web", "--for=jsonpath={.status.replicas}=2", "--timeout=20s")
    pod = kubectl.ok("get", "pods", "-o", "name").split()[0]
    kubectl.ok("wait", pod, "--for=condition=PodScheduled", "--timeout=20s")
    described = kubectl.ok("describe", pod)
    assert "CrashLoopBackOff" in described
    assert "BackOff" in described.split("Events:")[1]
    assert "ScalingReplicaSet" in kubectl.ok("describe", "deploy", "web")
    assert "ScalingReplicaSet" in kubectl.ok("events", "--for", "deploy/web")
    assert "CrashLoopBackOff" in kubectl.ok("get", "pods")
    server.sandbox.repair_workload(namespace, "web")
    assert "condition met" in kubectl.ok("wait", "deploy/web", "--for=condition=Available", "--timeout=20s")


def test_a_finalizer_holds_a_deleted_object(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", stdin=WIDGET.replace("name: w1", "name: w1, finalizers: [example.com/hold]"))
    kubectl.ok("delete", "wd", "w1", "--wait=false")
    assert kubectl.ok("get", "wd", "w1", "-o", "jsonpath={.metadata.deletionTimestamp}")
    text = kubectl.refused(
        "patch", "wd", "w1", "--type=merge", "-p", '{"metadata":{"finalizers":["a.b/c","example.com/hold"]}}'
    )
    assert "no new finalizers can be added if the object is being deleted" in text
    waiting = kubectl.start("delete", "wd", "w1", "--ignore-not-found")
    kubectl.ok("patch", "wd", "w1", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    assert waiting.wait(20) == 0
    assert "NotFound" in kubectl.refused("get", "wd", "w1")


def test_deleting_a_deployment_takes_its_pods_along(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", stdin=WEB)
    kubectl.ok("rollout", "status", "deploy/web", "--timeout=20s")
    kubectl.ok("delete", "deploy", "web", "--cascade=foreground", "--timeout=20s")
    assert "No resources found" in kubectl.run("get", "pods,rs").stderr


def test_deleting_a_namespace_empties_it(kubectl: Kubectl) -> None:
    kubectl.ok("create", "namespace", "short-lived")
    kubectl.ok("create", "configmap", "c", "--from-literal=a=b", "-n", "short-lived")
    kubectl.ok("delete", "namespace", "short-lived", "--timeout=20s")
    assert "NotFound" in kubectl.refused("get", "ns", "short-lived")
    text = kubectl.refused("create", "configmap", "c", "-n", "short-lived")
    assert 'namespaces "short-lived" not found' in text


def test_explain_reads_the_definition(kubectl: Kubectl) -> None:
    explained = kubectl.ok("explain", "wd.spec")
    assert "What is wanted." in explained
    assert "How big." in explained
    assert "FIELDS:" in kubectl.ok("explain", "deployment.spec.template.spec.containers")


def test_create_sends_protobuf_and_is_understood(kubectl: Kubectl) -> None:
    kubectl.ok("create", "secret", "generic", "s", "--from-literal=key=välue")
    assert kubectl.ok("get", "secret", "s", "-o", "jsonpath={.data.key}") == "dsOkbHVl"
    kubectl.ok("create", "quota", "q", "--hard=pods=1,requests.storage=2Gi")
    kubectl.ok("wait", "--for=jsonpath={.status.used.pods}=0", "quota/q", "--timeout=20s")
    assert "pods: 0/1" in kubectl.ok("get", "quota")
    text = kubectl.refused("create", "deployment", "d", "--image=x")
    assert "use kubectl apply -f" in text


def test_logs_and_exec_are_refused_in_a_sentence(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", stdin=WEB)
    kubectl.ok("rollout", "status", "deploy/web", "--timeout=20s")
    assert "the sandbox does not implement pods/log" in kubectl.refused("logs", "deploy/web")


def test_an_unknown_kind_is_reported_as_by_a_cluster(kubectl: Kubectl) -> None:
    text = kubectl.refused("apply", "-f", "-", stdin="apiVersion: foo.example/v1\nkind: Foo\nmetadata: {name: x}\n")
    assert 'no matches for kind "Foo" in version "foo.example/v1"' in text


def test_dry_run_on_the_server_changes_nothing(kubectl: Kubectl) -> None:
    assert "created (server dry run)" in kubectl.ok("apply", "--dry-run=server", "-f", "-", stdin=WIDGET)
    assert "NotFound" in kubectl.refused("get", "wd", "w1")


def test_text_beyond_the_basic_plane_survives(kubectl: Kubectl) -> None:
    kubectl.ok("create", "configmap", "emoji", "--from-literal=a=🔭")
    assert kubectl.ok("get", "cm", "emoji", "-o", "jsonpath={.data.a}") == "🔭"
