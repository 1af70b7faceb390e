"""Every CEL rule of our definition, with what breaks it and what does not; and CEL itself, where we lean on it."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from tests.contract.samples import component, platform, widget
from tests.contract.server import PLATFORMS, Object, Server, eventually

COMPONENTS = ("prometheus", "loki", "tempo", "grafana", "alertmanager")
#: Old value of a field that is given the value from which an update departs.
Change = tuple[Any, Any, Any]


@cache
def rules() -> list[tuple[str, Object]]:
    """(path of the field, rule) of all rules in the definition; both versions have the same."""
    versions = yaml.load(PLATFORMS.read_text(), Loader=yaml.CSafeLoader)["spec"]["versions"]
    found = [list(rules_in(version["schema"]["openAPIV3Schema"], "")) for version in versions]
    assert found[0] == found[1]
    return found[0]


def rules_in(schema: Object, path: str) -> Iterator[tuple[str, Object]]:
    for rule in schema.get("x-kubernetes-validations") or []:
        yield path, rule
    for name, part in (schema.get("properties") or {}).items():
        yield from rules_in(part, f"{path}.{name}" if path else name)
    for name, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(name), dict):
            yield from rules_in(schema[name], path + mark)


#: Message of a rule -> (a value that breaks it, one that does not), at the place of the rule.
BROKEN: dict[str, tuple[Any, Any]] = {
    "at least one component must be enabled; set components.prometheus.enabled: true": (
        {"components": {"prometheus": {"enabled": False}}},
        {"components": {}, "alerting": {"alertmanager": {"enabled": True}}},
    ),
    "requests.cpu is more than limits.cpu; raise the limit or lower the request": (
        {"requests": {"cpu": 1}, "limits": {"cpu": "500m"}},
        {"requests": {"cpu": "500m"}, "limits": {"cpu": 1}},
    ),
    "requests.memory is more than limits.memory; raise the limit or lower the request": (
        {"requests": {"memory": "1Gi"}, "limits": {"memory": "1000M"}},
        {"requests": {"memory": "1024Mi"}, "limits": {"memory": "1Gi"}},
    ),
    "give either value or valueFrom.secretKeyRef": (
        {"name": "A", "value": "1", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ),
    "ingress.host is needed; set it, for example grafana.example.com, or enabled: false": ({}, {"enabled": False}),
    "loki.replicas above 1 needs a bucket; set loki.s3, or replicas: 1": (
        {"replicas": 2, "s3": {"enabled": False}},
        {"replicas": 2, "s3": {"bucket": "prod-loki"}},
    ),
    "tempo.replicas above 1 needs a bucket; set tempo.s3, or replicas: 1": (
        {"replicas": 2},
        {"replicas": 2, "s3": {"bucketName": "prod-tempo"}},
    ),
    "grafana.replicas above 1 needs a shared database; set grafana.database, or replicas: 1": (
        {"replicas": 2},
        {"replicas": 2, "database": {"type": "postgres", "host": "db", "name": "grafana"}},
    ),
    "s3: bucket is needed; name the bucket, or set enabled: false": ({"region": "eu-west-1"}, {"enabled": False}),
    "type s3 needs s3: {bucket: ...}": ({"type": "s3"}, {"type": "s3", "s3": {"bucket": "backups"}}),
}
#: Message of a rule on changes -> (value before, one that breaks it, one that does not).
CHANGED: dict[str, Change] = {
    "storage.size cannot shrink; set it to the size it had, or more": (
        {"size": "10Gi"},
        {"size": "9Gi"},
        {"size": "10240Mi"},
    ),
    "storage.storageClassName cannot be changed; set it back, or create another platform and move over": (
        {"storageClassName": "fast"},
        {"storageClassName": "slow"},
        {"storageClassName": "fast", "size": "20Gi"},
    ),
}
#: Rules on the name stand at the root and are in test_crd_values.
ON_NAMES = 2


def spec_with(path: str, value: Any) -> Object:
    """A spec in which the field at a path has this value, and a component runs."""
    spec: Object = component()
    if path == "spec":
        return dict(value)
    *parents, last = path.removeprefix("spec.").split(".")
    node = spec
    for name in parents:
        node = node.setdefault(name, {})
    node[last.removesuffix("[]")] = [value] if last.endswith("[]") else value
    return spec


def refusal_of(message: str, path: str) -> tuple[str, str, str]:
    return "FieldValueInvalid", path.replace("[]", "[0]"), f"Invalid value: {message}"


def test_every_rule_has_its_examples() -> None:
    known = {**BROKEN, **CHANGED}
    found = [(path, rule["message"]) for path, rule in rules()]
    assert {message for path, message in found if path} == set(known)
    assert len([message for path, message in found if not path]) == ON_NAMES
    assert not [rule for _, rule in rules() if set(rule) - {"rule", "message"}]


@pytest.mark.parametrize("message", BROKEN)
def test_a_rule_refuses_what_breaks_it_wherever_it_stands(server: Server, message: str) -> None:
    bad, good = BROKEN[message]
    for path, rule in rules():
        if rule["message"] == message:
            answer = server.create({**platform(), "spec": spec_with(path, bad)}, dryRun="All")
            assert answer.refusal()[:2] == (422, "Invalid"), path
            assert answer.causes == [refusal_of(message, path)]
            server.create({**platform(), "spec": spec_with(path, good)}, dryRun="All").ok()


@pytest.mark.parametrize("message", CHANGED)
def test_a_rule_on_changes_refuses_the_change_and_no_creation(server: Server, message: str) -> None:
    old, bad, good = CHANGED[message]
    paths = [path for path, rule in rules() if rule["message"] == message]
    assert len(paths) == len(COMPONENTS)
    blocks = {path.split(".")[2]: {"enabled": True, "storage": old} for path in paths}
    server.create(platform(components=blocks)).ok()
    for path in paths:
        # Never wrong to begin with.
        server.create({**platform("other"), "spec": spec_with(path, bad)}, dryRun="All").ok()
        answer = server.patch(platform(), {"spec": spec_with(path, bad)}, dryRun="All")
        assert answer.refusal()[:2] == (422, "Invalid"), path
        assert answer.causes == [refusal_of(message, path)]
        server.patch(platform(), {"spec": spec_with(path, good)}, dryRun="All").ok()


def test_rules_on_changes_hold_for_every_way_of_writing(server: Server) -> None:
    spec = component(storage={"size": "10Gi"})
    created = server.create(platform(**spec)).ok()
    shrunk = component(storage={"size": "5Gi"})
    expected = refusal_of(next(iter(CHANGED)), "spec.components.prometheus.storage")
    assert server.apply(platform(**shrunk), force=True).causes == [expected]
    assert server.replace({**created, "spec": shrunk}).causes == [expected]
    operations = [{"op": "replace", "path": "/spec/components/prometheus/storage/size", "value": "5Gi"}]
    assert server.patch(platform(), operations, "application/json-patch+json").causes == [expected]
    # Taken away and given again is a new value: nothing to compare it with.
    server.patch(platform(), {"spec": {"components": {"prometheus": {"storage": None}}}}).ok()
    server.patch(platform(), {"spec": shrunk}).ok()


def test_a_status_write_is_not_held_up_by_rules_on_the_spec(server: Server) -> None:
    server.create(platform(**component(storage={"size": "10Gi"}))).ok()
    body = {"spec": component(storage={"size": "5Gi"}), "status": {"phase": "Ready"}}
    assert server.patch(platform(), body, subresource="status").ok()["status"]["phase"] == "Ready"


# -- CEL itself ----------------------------------------------------------------------------------------------------


def definition(server: Server, kind: str, schema: Object) -> Object:
    """A definition of the test's own, in a group named after its namespace."""
    group, plural = f"{server.namespace}.example.com", f"{kind.lower()}s"
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": schema}}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [version],
        },
    }


def served(server: Server, body: Object) -> Object:
    """Create the definition; an object of its kind, to be filled."""
    server.create(body).ok()
    names, group = body["spec"]["names"], body["spec"]["group"]
    what: Object = {"apiVersion": f"{group}/v1", "kind": names["kind"]}
    eventually(lambda: server.get(what).status == 200, f"{names['kind']} served")
    return what


RULES: tuple[tuple[str, Object, Any, Any], ...] = (
    ("a", {"type": "integer", "rule": "self > 2", "message": "above 2"}, 1, "Invalid value: 1: above 2"),
    (
        "b",
        {"type": "string", "rule": "self.startsWith('x')"},
        "y",
        "Invalid value: \"y\": failed rule: self.startsWith('x')",
    ),
    (
        "c",
        {"type": "integer", "rule": "self < 5", "messageExpression": "self > 6 ? 'far too much' : 'too much'"},
        7,
        "Invalid value: 7: far too much",
    ),
    (
        "d",
        {"type": "string", "rule": "self != ''", "reason": "FieldValueRequired", "message": "say something"},
        "",
        "Required value: say something",
    ),
    (
        "e",
        {"type": "string", "rule": "self == 'x'", "reason": "FieldValueForbidden", "message": "only x"},
        "y",
        "Forbidden: only x",
    ),
    (
        "f",
        {"type": "string", "rule": "self == 'x'", "reason": "FieldValueDuplicate", "message": "unused"},
        "y",
        'Duplicate value: "y"',
    ),
    ("g", {"type": "boolean", "rule": "!self", "message": "off"}, True, "Invalid value: true: off"),
    (
        "h",
        {"type": "array", "items": {"type": "integer"}, "maxItems": 9, "rule": "self.all(x, x > 0)", "message": "plus"},
        [1, 0],
        "Invalid value: plus",
    ),
    ("i", {"type": "string", "rule": "int(self) > 0", "message": "positive"}, "x", None),
)


def test_rules_of_every_type_and_reason_are_worded_alike(server: Server) -> None:
    properties: Object = {}
    for name, declared, _, _ in RULES:
        schema = {key: value for key, value in declared.items() if key in ("type", "items", "maxItems")}
        rule = {key: value for key, value in declared.items() if key not in schema}
        properties[name] = {**schema, "x-kubernetes-validations": [rule]}
    body = definition(server, "Judged", {"type": "object", "properties": properties})
    what = served(server, body)
    try:
        for name, declared, value, message in RULES:
            answer = server.create({**what, "metadata": {"name": "x"}, "spec": {name: value}}, dryRun="All")
            assert answer.refusal()[:2] == (422, "Invalid"), name
            ((reason, field, text),) = answer.causes
            assert field == f"spec.{name}"
            assert reason == declared.get("reason", "FieldValueInvalid")
            if message is not None:
                assert text == message
            else:
                assert text.startswith('Invalid value: "string": ')
                assert text.endswith(" evaluating rule: positive")
    finally:
        server.delete(body)


def test_optional_old_self_is_there_on_creation_too(server: Server) -> None:
    rule = {
        "rule": "oldSelf.hasValue() ? self >= oldSelf.value() : self == 1",
        "message": "begin with 1 and never go back",
        "optionalOldSelf": True,
    }
    schema = {"type": "object", "properties": {"n": {"type": "integer", "x-kubernetes-validations": [rule]}}}
    body = definition(server, "Counted", schema)
    what = {**served(server, body), "metadata": {"name": "x"}}
    try:
        expected = [("FieldValueInvalid", "spec.n", "Invalid value: 2: begin with 1 and never go back")]
        assert server.create({**what, "spec": {"n": 2}}).causes == expected
        server.create({**what, "spec": {"n": 1}}).ok()
        server.patch(what, {"spec": {"n": 3}}).ok()
        assert server.patch(what, {"spec": {"n": 2}}).causes == expected
    finally:
        server.delete(body)


def test_what_an_update_leaves_alone_is_not_held_against_it(server: Server) -> None:
    properties: Object = {"n": {"type": "integer"}, "m": {"type": "string"}, "tags": {"type": "array"}}
    properties["tags"]["items"] = {"type": "string"}
    body = definition(server, "Stricter", {"type": "object", "properties": properties})
    what = {**served(server, body), "metadata": {"name": "x"}}
    try:
        server.create({**what, "spec": {"n": 9, "m": "y", "tags": ["a"]}}).ok()
        properties["n"]["maximum"] = 5
        properties["m"]["x-kubernetes-validations"] = [{"rule": "self == 'x'", "message": "x only"}]
        properties["tags"]["maxItems"] = 0
        server.patch(body, {"spec": {"versions": body["spec"]["versions"]}}).ok()

        def is_stricter() -> bool:
            other = {**what, "metadata": {"name": "y"}, "spec": {"n": 9}}
            return server.create(other, dryRun="All").status == 422

        eventually(is_stricter, "the stricter schema is in force")
        server.patch(what, {"metadata": {"labels": {"a": "1"}}}).ok()
        server.patch(what, {"spec": {"n": 4}}, dryRun="All").ok()
        assert server.patch(what, {"spec": {"n": 8}}).causes == [
            ("FieldValueInvalid", "spec.n", "Invalid value: 8: spec.n in body should be less than or equal to 5")
        ]
        assert server.patch(what, {"spec": {"m": "z"}}).causes == [
            ("FieldValueInvalid", "spec.m", 'Invalid value: "z": x only')
        ]
    finally:
        server.delete(body)


def test_rules_of_keyed_lists_compare_items_of_the_same_key(server: Server) -> None:
    # The Widget's list of parts is keyed by name; its rules on changes see the part of the same name.
    server.create(widget("w", size=2)).ok()
    answer = server.patch(widget("w"), {"spec": {"size": 1}})
    assert answer.refusal() == (
        422,
        "Invalid",
        'Widget.example.com "w" is invalid: spec: Invalid value: size cannot shrink',
    )


# -- definitions ---------------------------------------------------------------------------------------------------

VALIDATIONS, MAP_KEYS = "x-kubernetes-validations", "x-kubernetes-list-map-keys"
KEYED: Object = {"type": "array", "x-kubernetes-list-type": "map"}
UNFIT: tuple[tuple[str, Object, str, str], ...] = (
    (
        "no type",
        {"type": "object", "properties": {"a": {}}},
        "properties[a].type",
        "Required value: must not be empty for specified object fields",
    ),
    ("another type", {"type": "strange"}, "type", '"array", "boolean", "integer", "number", "object", "string"'),
    ("no items", {"type": "array"}, "items", "Required value: must be specified"),
    (
        "closed and open",
        {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}},
        "additionalProperties",
        "Forbidden: additionalProperties and properties are mutual exclusive",
    ),
    ("a reference", {"type": "object", "$ref": "#/x"}, "$ref", "Forbidden: $ref is not supported"),
    (
        "unique items",
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        "uniqueItems",
        "Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
    ),
    (
        "no keys",
        {**KEYED, "items": {"type": "object"}},
        MAP_KEYS,
        "Required value: must not be empty if x-kubernetes-list-type is map",
    ),
    (
        "keys of nothing",
        {**KEYED, "items": {"type": "object"}, MAP_KEYS: ["a"]},
        MAP_KEYS,
        'Invalid value: ["a"]: entries must all be names of item properties',
    ),
    (
        "keyed text",
        {**KEYED, "items": {"type": "string"}},
        "items.type",
        'Invalid value: "string": must be object if parent array\'s x-kubernetes-list-type is map',
    ),
    (
        "closed free form",
        {"type": "object", "x-kubernetes-preserve-unknown-fields": False},
        "x-kubernetes-preserve-unknown-fields",
        "Invalid value: false: must be true or undefined",
    ),
    (
        "pattern",
        {"type": "string", "pattern": "["},
        "pattern",
        'Invalid value: "[": must be a valid regular expression',
    ),
    (
        "default of another type",
        {"type": "integer", "default": "x"},
        "default",
        'Invalid value: "string":  in body must be of type integer: "string"',
    ),
    (
        "default too large",
        {"type": "integer", "default": 9, "maximum": 5},
        "default",
        "Invalid value: 9:  in body should be less than or equal to 5",
    ),
    (
        "no rule",
        {"type": "string", VALIDATIONS: [{"rule": " "}]},
        f"{VALIDATIONS}[0].rule",
        "Required value: rule is not specified",
    ),
    (
        "no CEL",
        {"type": "string", VALIDATIONS: [{"rule": "self ==="}]},
        f"{VALIDATIONS}[0].rule",
        "compilation failed: ERROR: <input>:1:",
    ),
)


def test_definitions_that_are_not_structural_are_refused(server: Server) -> None:
    for name, schema, field, part in UNFIT:
        answer = server.create(definition(server, "Unfit", schema), dryRun="All")
        assert answer.refusal()[:2] == (422, "Invalid"), name
        at = f"spec.validation.openAPIV3Schema.properties[spec].{field}"
        assert [cause for cause in answer.causes if cause[1] == at and part in cause[2]], (name, answer.causes)


def test_definitions_of_no_use_are_refused(server: Server) -> None:
    unstored = {"name": "v1", "served": True, "storage": False, "schema": {"openAPIV3Schema": {"type": "object"}}}
    for change, message in (
        (
            {"metadata": {"name": "x.y.z"}},
            'metadata.name: Invalid value: "x.y.z": must be spec.names.plural+"."+spec.group',
        ),
        ({"spec": {"scope": "X"}}, 'spec.scope: Unsupported value: "X": supported values: "Cluster", "Namespaced"'),
        ({"spec": {"versions": []}}, "must have exactly one version marked as storage version"),
        ({"spec": {"versions": [unstored]}}, "must have exactly one version marked as storage version"),
        (
            {"spec": {"versions": [{"name": "v1", "served": True, "storage": True}]}},
            "spec.versions[0].schema.openAPIV3Schema: Required value",
        ),
    ):
        body = definition(server, "Unfit", {"type": "object"})
        body |= {key: {**body[key], **part} for key, part in change.items()}
        code, reason, text = server.create(body, dryRun="All").refusal()
        assert (code, reason) == (422, "Invalid")
        assert message in text
