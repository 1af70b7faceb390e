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
    lines = [f"{json.dumps(name)}:{json.dumps(found[name], separators=(',', ':'))}" for name in sorted(found)]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
