"""The CustomResourceDefinition, generated from the models; `python -m api.crd` writes it to standard output."""

import copy
import sys
from functools import cache
from typing import Any

import yaml
from pydantic import BaseModel

from api.naming import NAME_LENGTH_MAX, NAME_PATTERN
from api.spec import PlatformSpec
from api.status import PlatformStatus
from eventstore.vocabulary import GROUP, KIND, PLURAL, SERVED_VERSIONS, STORED_VERSION

Schema = dict[str, Any]

COLUMNS: tuple[Schema, ...] = (
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Components", "type": "string", "jsonPath": ".status.componentsReady"},
    {"name": "Reason", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].reason'},
    {"name": "Seq", "type": "integer", "priority": 1, "jsonPath": ".status.ledger.sequence"},
    {"name": "Paused", "type": "boolean", "priority": 1, "jsonPath": ".spec.paused"},
    {
        "name": "Message",
        "type": "string",
        "priority": 1,
        "jsonPath": '.status.conditions[?(@.type=="Ready")].message',
    },
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
)

#: Keywords of JSON Schema that pydantic writes and a structural schema has no use for.
_DROPPED = frozenset({"title", "propertyNames", "$defs", "examples", "format"})
#: Defaults that stay out of the CRD: the API server would write them into every stored object, where they would win
#: over `global` and, after an upgrade of the operator, change what runs.
_UNDECLARED_DEFAULTS = frozenset({"version", "replicas", "retention"})


def build_crd() -> Schema:
    """The CustomResourceDefinition as a JSON value; a new one at each call."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{PLURAL}.{GROUP}",
            "labels": {"app.kubernetes.io/name": "stackledger", "app.kubernetes.io/part-of": "stackledger"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["obsp"],
                "categories": ["observability"],
            },
            "conversion": {"strategy": "None"},
            "versions": [_version(name) for name in SERVED_VERSIONS],
        },
    }


@cache
def spec_schema() -> Schema:
    """Structural schema of `spec`; shared, not to be changed."""
    return _structural(PlatformSpec)


def render_crd() -> str:
    """The CRD as YAML text, the same at every call."""
    body = yaml.dump(build_crd(), Dumper=_PlainDumper, sort_keys=False, width=120, allow_unicode=True)
    return f"# Generated from the models in api/ by `stackledger crd print`; edit those.\n{body}"


class _PlainDumper(yaml.SafeDumper):
    """Writes equal parts out instead of referring to them."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _version(name: str) -> Schema:
    return {
        "name": name,
        "served": True,
        "storage": name == STORED_VERSION,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [dict(column) for column in COLUMNS],
        "schema": {"openAPIV3Schema": _root()},
    }


def _root() -> Schema:
    return {
        "type": "object",
        "description": "A set of observability components that the operator installs, watches, upgrades and heals.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of this representation of the object."},
            "kind": {"type": "string", "description": "ObservabilityPlatform."},
            # Nothing more: the API server refuses a definition that says anything else about metadata.
            "metadata": {"type": "object"},
            "spec": copy.deepcopy(spec_schema()),
            "status": {**_structural(PlatformStatus), "default": dict(PlatformStatus.schema_default)},
        },
        "x-kubernetes-validations": [
            {
                "rule": f"size(self.metadata.name) <= {NAME_LENGTH_MAX}",
                "message": f"the name may have at most {NAME_LENGTH_MAX} characters, because StatefulSets and Services "
                "are named after it; choose a shorter one",
            },
            {
                "rule": f"self.metadata.name.matches('{NAME_PATTERN}')",
                "message": "the name must start with a letter and hold only a-z, 0-9 and '-', because Services are "
                "named after it; for example prod",
            },
        ],
    }


def _structural(model: type[BaseModel]) -> Schema:
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _node(schema, schema.get("$defs", {}))


def _node(node: Schema, definitions: Schema) -> Schema:
    """One level of pydantic's schema, with references written out and nothing a structural schema forbids."""
    node = _without_null(node)
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        # What the field says (its description, its default) wins over what its type says.
        return _node({**definitions[name], **{key: value for key, value in node.items() if key != "$ref"}}, definitions)
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if node.get("examples"):
        result["example"] = node["examples"][0]
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if result.get("enum") and all(isinstance(word, str) for word in result["enum"]):
        result["type"] = "string"
    if node.get("format") == "date-time":
        result["format"] = "date-time"
    if "properties" in result:
        result["properties"] = {name: _field(name, field, definitions) for name, field in result["properties"].items()}
    if isinstance(result.get("items"), dict):
        result["items"] = _node(result["items"], definitions)
        result.setdefault("x-kubernetes-list-type", "atomic")
    for value in result.pop("patternProperties", {}).values():
        # A structural schema has one schema for all names; the names themselves are checked by api.parsing.
        result["additionalProperties"] = value
    if isinstance(result.get("additionalProperties"), dict):
        result["additionalProperties"] = _node(result["additionalProperties"], definitions)
    return result


def _field(name: str, node: Schema, definitions: Schema) -> Schema:
    field = _node(node, definitions)
    default = field.pop("default", None)
    if default is None or default == "" or isinstance(default, dict | list):
        return field
    if name in _UNDECLARED_DEFAULTS:
        return {**field, "description": f"{field.get('description', '')} Default: {default}."}
    return {**field, "default": default}


def _without_null(node: Schema) -> Schema:
    """`anyOf: [X, null]` -> X: an absent field is absent, not null."""
    choices = [choice for choice in node.get("anyOf", ()) if choice.get("type") != "null"]
    if not choices:
        return node
    if len(choices) > 1:
        raise TypeError(f"a field in several shapes needs a schema of its own: {node}")
    return {**choices[0], **{key: value for key, value in node.items() if key != "anyOf"}}


if __name__ == "__main__":
    sys.stdout.write(render_crd())
