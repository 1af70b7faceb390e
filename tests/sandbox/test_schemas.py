"""Structural schemas and CEL rules, and the shapes of built-in kinds against their source."""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox import schemachecks
from sandbox.cel import CelError, CelUnsupportedError, evaluate
from sandbox.errors import StatusError
from sandbox.schemas import builtin_schemas
from tests.sandbox import generate_builtin_schemas
from tests.sandbox.conftest import Bench, widget


@pytest.mark.parametrize(
    ("rule", "scope", "value"),
    [
        ("self.a + 1 == 3 && self.b.startsWith('x')", {"self": {"a": 2, "b": "xy"}}, True),
        ("has(self.a) ? self.a : 'none'", {"self": {}}, "none"),
        ("self.a || self.missing", {"self": {"a": True}}, True),
        ("self.missing || self.a", {"self": {"a": True}}, True),
        ("self.items.all(i, i.size > 0)", {"self": {"items": [{"size": 1}, {"size": 2}]}}, True),
        ("self.items.exists_one(i, i == 2)", {"self": {"items": [1, 2, 2]}}, False),
        ("self.items.filter(i, i > 1).map(i, i * 2)", {"self": {"items": [1, 2, 3]}}, [4, 6]),
        ("self.m.all(k, self.m[k] != '')", {"self": {"m": {"a": "x"}}}, True),
        ("'a' in self.m && !('b' in self.m)", {"self": {"m": {"a": "x"}}}, True),
        ("size(self) == 4 && self.size() == 4", {"self": "🔭abc"}, True),
        ("self.matches('^v[0-9]+$')", {"self": "v12"}, True),
        ("self.find('[0-9]+') == '12'", {"self": "v12x"}, True),
        ("self.split('.').size() == 3 && int(self.split('.')[0]) >= 2", {"self": "2.54.1"}, True),
        ("quantity(self).isGreaterThan(quantity('500Mi'))", {"self": "1Gi"}, True),
        ("quantity(self.new).compareTo(quantity(self.old)) >= 0", {"self": {"new": "1Gi", "old": "1024Mi"}}, True),
        ("isQuantity('1GB') || isQuantity('1Gi ')", {}, False),
        ("self.?a.?b.orValue('none')", {"self": {"a": {}}}, "none"),
        ("self.__namespace__ == 'x'", {"self": {"namespace": "x"}}, True),
        ("-7 / 2 == -3 && -7 % 2 == -1", {}, True),
        ("true == 1", {}, False),
        ("[1, 2].isSorted() && [3, 1].max() == 3 && {'a': 1}.a == 1", {}, True),
        ("'it\\'s' == \"it's\" && r'\\d' == '\\\\d'", {}, True),
        ("self.indexOf('b') == 1 && self.lowerAscii() == 'abc' // tail", {"self": "abC"}, True),
        ("url(self).getHostname() == 'x.y'", {"self": "https://x.y:80/z"}, True),
    ],
)
def test_expressions_evaluate(rule: str, scope: dict[str, Any], value: object) -> None:
    assert evaluate(rule, scope) == value


@pytest.mark.parametrize("rule", ["self.missing == 1", "self.a[5] == 1", "self.a + 'x' == 'y'", "1 / 0 == 1", "other"])
def test_a_rule_that_cannot_be_evaluated_is_an_error(rule: str) -> None:
    with pytest.raises(CelError):
        evaluate(rule, {"self": {"a": [1]}})


@pytest.mark.parametrize("rule", ["ip(self).family() == 4", "self.charCount('x')", "self ===", "cidr('x')"])
def test_what_is_not_known_is_said_to_be_unknown(rule: str) -> None:
    with pytest.raises(CelUnsupportedError):
        evaluate(rule, {"self": "x"})


def test_a_rule_that_is_not_known_lets_pass_and_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    listed: dict[str, str] = {}
    monkeypatch.setattr(schemachecks, "unevaluated_rules", listed)
    schema = {"type": "string", "x-kubernetes-validations": [{"rule": "isIP(self)"}]}
    assert list(schemachecks.rule_violations("x", schemachecks.MISSING, schema)) == []
    assert "isIP" in listed["isIP(self)"]


def test_rules_on_old_values_hold_on_update_only(bench: Bench) -> None:
    bench.create(widget(size=2))
    with pytest.raises(StatusError) as refused:
        bench.patch(widget(), {"spec": {"size": 1}})
    assert refused.value.message == 'Widget.example.com "w1" is invalid: spec: Invalid value: size cannot shrink'


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"size": -1}, "spec.size: Invalid value: -1: spec.size in body should be greater than or equal to 0"),
        (
            {"size": "3"},
            'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"',
        ),
        ({"size": 1.5}, 'spec.size: Invalid value: "number": spec.size in body must be of type integer: "number"'),
        ({"version": "v1\n"}, "spec.version: Invalid value: \"v1\\n\": spec.version in body should match '^v\\d+$'"),
        ({"parts": [{"value": "x"}]}, "spec.parts[0].name: Required value"),
        ({"parts": [{"name": "x"}, {"name": "x"}]}, 'spec.parts[1]: Duplicate value: {"name":"x"}'),
        ({"tags": ["a", "a"]}, 'spec.tags[1]: Duplicate value: "a"'),
    ],
)
def test_violations_are_worded_as_by_a_server(bench: Bench, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(StatusError) as refused:
        bench.create(widget(**spec))
    assert refused.value.code == 422
    assert message in refused.value.message


def test_a_missing_spec_is_refused(bench: Bench) -> None:
    body = widget()
    del body["spec"]
    with pytest.raises(StatusError, match="spec: Required value"):
        bench.create(body)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"spec": {"names": {"plural": "gadgets"}}}, "metadata.name"),
        ({"spec": {"versions": []}}, "spec.versions"),
        ({"spec": {"versions": [{"name": "v1", "served": True, "storage": True}]}}, "openAPIV3Schema"),
        (
            {"spec": {"versions": [{"name": "v1", "served": True, "storage": False}]}},
            "must have exactly one version marked as storage version",
        ),
    ],
)
def test_definitions_that_cannot_be_served_are_refused(bench: Bench, change: Any, field: str) -> None:
    definition = bench.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.example.com", "")
    with pytest.raises(StatusError) as refused:
        bench.patch(definition, change)
    assert refused.value.code == 422
    assert field in refused.value.message


def test_the_shapes_of_built_in_kinds_are_those_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate_builtin_schemas, "TARGET", tmp_path / "schemas.json")
    generate_builtin_schemas.main()
    assert json.loads((tmp_path / "schemas.json").read_text()) == builtin_schemas(), (
        "run python -m tests.sandbox.generate_builtin_schemas"
    )
