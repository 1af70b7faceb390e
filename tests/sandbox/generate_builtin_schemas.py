"""Writes sandbox/builtin_schemas.json: the shapes of the built-in kinds the sandbox serves, without their prose.

Run `python -m tests.sandbox.generate_builtin_schemas` after moving to another Kubernetes version; the source is the
API description that the development dependency `kubernetes-validate` carries.
"""

import json
from pathlib import Path
from typing import Any

import kubernetes_validate

VERSION = "v1.37.0"
TARGET = Path(__file__).parents[2] / "sandbox" / "builtin_schemas.json"
ROOTS = """
core.v1: Namespace Pod Service ConfigMap Secret ServiceAccount PersistentVolumeClaim Event ResourceQuota Node
apps.v1: Deployment ReplicaSet StatefulSet
networking.v1: Ingress NetworkPolicy
policy.v1: PodDisruptionBudget
storage.v1: StorageClass
batch.v1: Job
coordination.v1: Lease
events.v1: Event
"""
KEPT = (
    "type",
    "format",
    "required",
    "default",
    "items",
    "properties",
    "additionalProperties",
    "$ref",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-patch-merge-key",
    "x-kubernetes-patch-strategy",
)
PREFIX = "io.k8s."
#: Structs that are part of their parent and no pointer, so that they are there even if nothing is set in them. The API
#: server's own description marks them with `default: {}`; field owners of built-in kinds depend on it.
INLINE_STRUCTS = """
apps.v1.Deployment: spec status
apps.v1.DeploymentSpec: strategy template
apps.v1.ReplicaSet: spec status
apps.v1.ReplicaSetSpec: template
apps.v1.StatefulSet: spec status
apps.v1.StatefulSetSpec: template updateStrategy
batch.v1.Job: spec status
batch.v1.JobSpec: template
coordination.v1.Lease: spec
core.v1.Container: resources
core.v1.ContainerStatus: lastState state
core.v1.EphemeralContainer: resources
core.v1.Event: involvedObject source
core.v1.Namespace: spec status
core.v1.Node: spec status
core.v1.NodeDaemonEndpoints: kubeletEndpoint
core.v1.NodeStatus: daemonEndpoints nodeInfo
core.v1.PersistentVolumeClaim: spec status
core.v1.PersistentVolumeClaimSpec: resources
core.v1.PersistentVolumeClaimTemplate: metadata spec
core.v1.Pod: spec status
core.v1.PodTemplateSpec: metadata spec
core.v1.PreferredSchedulingTerm: preference
core.v1.ResourceQuota: spec status
core.v1.Service: spec status
core.v1.ServiceStatus: loadBalancer
core.v1.WeightedPodAffinityTerm: podAffinityTerm
events.v1.Event: deprecatedSource regarding
networking.v1.HTTPIngressPath: backend
networking.v1.Ingress: spec status
networking.v1.IngressServiceBackend: port
networking.v1.IngressStatus: loadBalancer
networking.v1.NetworkPolicy: spec
networking.v1.NetworkPolicySpec: podSelector
policy.v1.PodDisruptionBudget: spec status
"""
SPECIAL: dict[str, dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "string", "format": "quantity"},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"x-kubernetes-int-or-string": True},
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
    },
}


def definitions() -> dict[str, Any]:
    """All definitions of the Kubernetes version."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"{VERSION}-local"
    loaded: dict[str, Any] = json.loads((folder / "_definitions.json").read_text())["$defs"]
    return loaded


def shape(schema: Any) -> Any:
    """The schema as OpenAPI v3 has it, without prose."""
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key in KEPT:
        if key not in schema:
            continue
        value = schema[key]
        if key == "type" and isinstance(value, list):
            value = next(item for item in value if item != "null")
        elif key == "$ref":
            value = value.rsplit("/", 1)[-1].removeprefix(PREFIX)
        elif key == "properties":
            value = {name: shape(part) for name, part in value.items()}
        elif key in ("items", "additionalProperties"):
            value = shape(value)
        kept[key] = value
    return kept


def references(schema: Any) -> set[str]:
    """Names of the definitions a shape refers to."""
    if isinstance(schema, dict):
        own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
        return own.union(*(references(value) for value in schema.values()))
    return set()


def main() -> None:
    """Write the file."""
    source = definitions()
    pending = [
        f"api.{group.strip()}.{kind}"
        for group, kinds in (line.split(":") for line in ROOTS.split("\n") if line)
        for kind in kinds.split()
    ]
    found: dict[str, Any] = {}
    while pending:
        name = pending.pop()
        if name in found:
            continue
        full = PREFIX + name
        found[name] = SPECIAL.get(full) or shape(source[full])
        pending.extend(references(found[name]))
    # The description lost these two, and the keys of the ports depend on them.
    for name in ("api.core.v1.ContainerPort", "api.core.v1.ServicePort"):
        found[name]["properties"]["protocol"]["default"] = "TCP"
    for line in INLINE_STRUCTS.split("\n"):
        name, _, fields = line.partition(": ")
        for field in fields.split():
            found[f"api.{name}"]["properties"][field]["default"] = {}
    lines = [f"{json.dumps(name)}:{json.dumps(found[name], separators=(',', ':'))}" for name in sorted(found)]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
