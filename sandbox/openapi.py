"""OpenAPI v3 of what is served: enough for `kubectl explain`, `apply`, `diff` and validation."""

import hashlib
from typing import Any

from sandbox.kinds import Kind, Registry
from sandbox.schemas import META_NAME, Schema, builtin_schemas
from sandbox.values import Object, clone, compact

_REF = "#/components/schemas/"
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
_QUERY = ("dryRun", "fieldManager", "fieldValidation", "force", "pretty")

_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
#: What every custom object's own fields say of themselves, whatever its definition says.
_TYPE_META = {
    "apiVersion": "APIVersion defines the versioned schema of this representation of an object. Servers should convert "
    "recognized schemas to the latest internal value, and may reject unrecognized values. More info: "
    f"{_CONVENTIONS}#resources",
    "kind": "Kind is a string value representing the REST resource this object represents. Servers may infer this from "
    "the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: "
    f"{_CONVENTIONS}#types-kinds",
    "metadata": f"Standard object's metadata. More info: {_CONVENTIONS}#metadata",
}

#: OpenAPI v2 without a single path, as JSON and as the protobuf message kubectl asks for.
EMPTY_V2: Object = {"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.37.0"}, "paths": {}}
EMPTY_V2_PROTOBUF = b"\x0a\x032.0\x12\x15\x0a\x0aKubernetes\x12\x07v1.37.0\x42\x00"
V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


def index(registry: Registry) -> Object:
    """`/openapi/v3`: one document for each group and version; the hash changes with the document."""
    paths = {}
    for name, versions in registry.groups().items():
        for version in versions:
            path = f"apis/{name}/{version}" if name else f"api/{version}"
            digest = hashlib.sha256(compact(document(registry, name, version)).encode()).hexdigest()[:32].upper()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


def document(registry: Registry, group: str, version: str) -> Object:
    """`/openapi/v3/apis/apps/v1`."""
    schemas: dict[str, Schema] = {}
    paths: Object = {}
    for kind in registry.all():
        if kind.group != group or all(served.name != version for served in kind.versions):
            continue
        name = f"{'.'.join(reversed(group.split('.'))) or 'core'}.{version}.{kind.kind}"
        schema = _referring(kind.version(version).schema, schemas)
        if kind.custom:
            schema.setdefault("properties", {})["metadata"] = _referring({"$ref": META_NAME}, schemas)
            for field, text in _TYPE_META.items():
                schema.setdefault("properties", {}).setdefault(field, {})["description"] = text
        schema["x-kubernetes-group-version-kind"] = [{"group": group, "version": version, "kind": kind.kind}]
        schemas[name] = schema
        paths.update(_paths(kind, version, name))
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes sandbox", "version": "v1.37.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _referring(schema: Any, schemas: dict[str, Schema]) -> Any:
    """The schema with full references; what it refers to is added to `schemas`."""
    if isinstance(schema, list):
        return [_referring(part, schemas) for part in schema]
    if not isinstance(schema, dict):
        return schema
    name = schema.get("$ref")
    if isinstance(name, str):
        if name not in schemas:
            schemas[name] = {}
            schemas[name] = _referring(builtin_schemas()[name], schemas)
        return {"allOf": [{"$ref": _REF + name}], **{k: clone(v) for k, v in schema.items() if k != "$ref"}}
    return {key: _referring(part, schemas) for key, part in schema.items()}


def _paths(kind: Kind, version: str, schema: str) -> Object:
    root = f"/apis/{kind.group}/{version}" if kind.group else f"/api/{version}"
    scope = "/namespaces/{namespace}" if kind.namespaced else ""
    base = f"{root}{scope}/{kind.plural}"
    marker = {"group": kind.group, "version": version, "kind": kind.kind}
    reference = {"schema": {"$ref": _REF + schema}}
    answers = {"200": {"description": "OK", "content": {"application/json": reference}}}
    query = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in _QUERY]
    patches = [name for name in _PATCHES if not (kind.custom and "strategic" in name)]

    def operation(action: str, content: list[str]) -> Object:
        found: Object = {
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": marker,
            "parameters": query,
            "responses": answers,
        }
        if content:
            found["requestBody"] = {"content": {name: {"schema": {"type": "object"}} for name in content}}
        return found

    return {
        base: {"get": operation("list", []), "post": operation("post", ["*/*"])},
        f"{base}/{{name}}": {
            "get": operation("get", []),
            "put": operation("put", ["*/*"]),
            "patch": operation("patch", patches),
            "delete": operation("delete", ["*/*"]),
        },
    }
