"""The resource definition: in step with the models, structural, described, and bounded."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it comes without stubs
import kubernetes_validate
import pytest
import yaml

from api.crd import build_crd, render_crd, spec_schema
from tests.api.admission import _for_jsonschema, admit, platform, root_schema
from tests.api.structural import faults, nodes

CHECKED_IN = Path(__file__).parents[2] / "deploy" / "crds" / "observabilityplatforms.yaml"
#: Below these the API server lets anything pass; api.parsing judges it.
SPEC_NODES = list(nodes(spec_schema(), "spec"))


def test_the_checked_in_file_is_what_the_models_give() -> None:
    assert CHECKED_IN.read_text() == render_crd(), "run: python -m api.crd > deploy/crds/observabilityplatforms.yaml"


def test_the_file_reads_back_as_the_same_object() -> None:
    assert yaml.safe_load(CHECKED_IN.read_text()) == json.loads(json.dumps(build_crd()))


def test_the_definition_is_a_valid_kubernetes_object() -> None:
    kubernetes_validate.validate(build_crd(), "1.34", strict=True)


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
def test_the_schema_is_structural(version: str) -> None:
    found = next(entry for entry in build_crd()["spec"]["versions"] if entry["name"] == version)
    assert faults(found["schema"]["openAPIV3Schema"]) == []


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ({"anyOf": [{"type": "string"}]}, "not structural"),
        ({"$ref": "#/x"}, "not structural"),
        ({"description": "x"}, "no type"),
        ({"type": "array"}, "without items"),
        ({"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}, "exclude each other"),
        ({"type": "string", "x-kubernetes-int-or-string": True}, "not possible"),
        (
            {
                "type": "array",
                "items": {"type": "object", "properties": {"a": {"type": "string"}}},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["a"],
            },
            "must be required or have a default",
        ),
    ],
)
def test_the_structural_check_finds_a_fault(bad: dict[str, Any], fault: str) -> None:
    assert any(fault in found for found in faults({"type": "object", "properties": {"x": bad}}))


def test_every_field_is_described() -> None:
    root = [
        path
        for path, node in nodes(root_schema())
        if not node.get("description") and not path.endswith(("[]", "{}")) and path
    ]
    # The API server allows no words on metadata.
    assert root == [".metadata"]


def test_every_text_and_list_is_bounded_so_that_rules_have_a_bounded_cost() -> None:
    unbounded = [
        path
        for path, node in SPEC_NODES
        if (node.get("type") == "string" and "maxLength" not in node and "enum" not in node and "pattern" not in node)
        or (node.get("type") == "array" and "maxItems" not in node)
        or ("additionalProperties" in node and "maxProperties" not in node)
    ]
    assert unbounded == []


def test_every_pattern_means_the_same_to_the_api_server_and_to_us() -> None:
    # RE2 has no look-around and no backreferences; an unanchored pattern would let anything around it pass.
    for path, node in SPEC_NODES:
        pattern = node.get("pattern")
        if pattern is not None:
            assert pattern.startswith("^"), path
            assert pattern.endswith("$"), path
            assert not re.search(r"\(\?[=!<]|\\[1-9]", pattern), path


def test_every_default_and_example_is_valid_under_its_own_schema() -> None:
    for path, node in SPEC_NODES:
        validator = jsonschema.Draft202012Validator(_for_jsonschema(node))
        for word in ("default", "example"):
            if word in node:
                assert list(validator.iter_errors(node[word])) == [], (path, word)


def test_no_default_can_change_what_runs_after_an_upgrade_of_the_operator() -> None:
    # The server applies defaults to stored objects as well: a default version would upgrade platforms by itself.
    for path, node in SPEC_NODES:
        if path.rpartition(".")[2] in {"version", "replicas", "retention"} and path.startswith("spec.components"):
            assert "default" not in node, path


def test_no_field_opens_the_node_the_file_system_or_another_namespace() -> None:
    banned = re.compile(
        r"(?i)^(namespace|namespaces|.*hostpath.*|hostnetwork|hostpid|volumes|volumemounts|.*securitycontext|"
        r"initcontainers|containers|command|serviceaccountname|externalips|externalname|.*file|.*path)$"
    )
    names = {path.rpartition(".")[2] for path, _ in SPEC_NODES}
    # The one path is the URL prefix of an Ingress.
    assert {name for name in names if banned.match(name)} <= {"path"}
    assert [path for path, _ in SPEC_NODES if path.endswith(".path")] == [
        f"spec.components.{name}.ingress.path" for name in ("prometheus", "loki", "tempo", "grafana", "alertmanager")
    ]


def test_it_is_small_enough_for_a_client_side_apply() -> None:
    # kubectl keeps the whole object in an annotation, and annotations have 256 KiB together.
    assert len(json.dumps(build_crd(), separators=(",", ":"))) < 250_000


def test_names_versions_and_columns_are_the_agreed_ones() -> None:
    crd = build_crd()["spec"]
    assert crd["names"]["shortNames"] == ["obsp"]
    assert crd["names"]["categories"] == ["observability"]
    assert crd["conversion"] == {"strategy": "None"}
    assert [(entry["name"], entry["served"], entry["storage"]) for entry in crd["versions"]] == [
        ("v1alpha1", True, False),
        ("v1beta1", True, True),
    ]
    for entry in crd["versions"]:
        assert entry["subresources"] == {"status": {}}
        columns = entry["additionalPrinterColumns"]
        assert [column["name"] for column in columns if not column.get("priority")] == [
            "Ready",
            "Phase",
            "Components",
            "Reason",
            "Age",
        ]
        assert [column["name"] for column in columns if column.get("priority")] == [
            "Seq",
            "Paused",
            "Message",
        ]


def test_both_versions_have_one_schema() -> None:
    alpha, beta = (entry["schema"] for entry in build_crd()["spec"]["versions"])
    assert alpha == beta


def test_a_new_platform_has_a_status_that_says_nothing_was_observed_yet() -> None:
    stored, errors = admit(platform({"components": {"prometheus": {}}}))
    assert errors == []
    assert stored["status"] == {"observedGeneration": -1}


def test_conditions_and_components_are_told_apart_by_name() -> None:
    status = root_schema()["properties"]["status"]["properties"]
    assert status["conditions"]["x-kubernetes-list-map-keys"] == ["type"]
    assert status["components"]["x-kubernetes-list-map-keys"] == ["name"]


def test_a_caller_may_change_what_it_got() -> None:
    build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clear()
    assert build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
