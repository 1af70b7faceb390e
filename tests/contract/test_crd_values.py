"""Our definition judges values: what is refused in which words, what is pruned, what is filled in.

The numbers are those of docs/bad-inputs.md.
"""

from typing import Any

import pytest

from tests.contract.samples import component, platform
from tests.contract.server import Object, Server

Causes = list[tuple[str, str, str]]
SOME_RULES = "some validation rules were not checked because the object was invalid; "
SOME_RULES += "correct the existing errors to complete validation"
NOT_CHECKED = (
    "FieldValueInvalid",
    "<nil>",
    f"Invalid value: null: {SOME_RULES}",
)
AT = "spec.components.prometheus"
BYTES = "'^([1-9][0-9]{5,17}|[1-9][0-9]{0,8}(\\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P))$'"
CPU = "'^([1-9][0-9]{0,6}m|[1-9][0-9]{0,4}(\\.[0-9]{1,3})?|0\\.[0-9]{1,3})$'"
HOST = "'^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$'"
VERSION = "'^v?(0|[1-9][0-9]{0,4})\\.(0|[1-9][0-9]{0,4})\\.(0|[1-9][0-9]{0,4})(-[0-9A-Za-z][-.0-9A-Za-z]{0,30})?$'"
NO_DATE, DATE = '"2026-13-01T00:00:00Z"', "conditions[0].lastTransitionTime"
PHASES = '"Pending", "Installing", "Ready", "Failed", "Upgrading"'
NAME = "the name must start with a letter and hold only a-z, 0-9 and '-', because Services are named after it; "
NAME += "for example prod"


def wrong(path: str, text: str) -> tuple[str, str, str]:
    return "FieldValueInvalid", path, f"Invalid value: {text}"


def wrong_type(path: str, found: str, wanted: str, name: str = "") -> tuple[str, str, str]:
    text = f'Invalid value: "{found}": {name or path} in body must be of type {wanted}: "{found}"'
    return "FieldValueTypeInvalid", path, text


def missing(path: str) -> tuple[str, str, str]:
    return "FieldValueRequired", path, "Required value"


def refused(server: Server, body: Object) -> Causes:
    """Why a creation is refused; the message says the same as the causes."""
    answer = server.create(body, dryRun="All")
    code, reason, message = answer.refusal()
    assert (code, reason) == (422, "Invalid")
    assert message.startswith(f'ObservabilityPlatform.observability.io "{body["metadata"]["name"]}" is invalid: ')
    for _, field, text in answer.causes:
        assert f"{field}: {text}" in message
    return answer.causes


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        pytest.param(None, [NOT_CHECKED, missing("spec")], id="1-null"),
        pytest.param({}, [NOT_CHECKED, missing("spec.components")], id="1-empty"),
        pytest.param([], [NOT_CHECKED, wrong_type("spec", "array", "object")], id="1-array"),
        pytest.param("x", [NOT_CHECKED, wrong_type("spec", "string", "object")], id="1-text"),
        pytest.param(
            {**component(), "paused": "yes"}, [NOT_CHECKED, wrong_type("spec.paused", "string", "boolean")], id="43"
        ),
        pytest.param(
            {**component(), "deletionPolicy": "Maybe"},
            [
                NOT_CHECKED,
                (
                    "FieldValueNotSupported",
                    "spec.deletionPolicy",
                    'Unsupported value: "Maybe": supported values: "Retain", "Delete"',
                ),
            ],
            id="enum",
        ),
    ],
)
def test_a_spec_that_is_none_is_refused(server: Server, spec: Any, causes: Causes) -> None:
    assert refused(server, {**platform(), "spec": spec}) == causes


def test_no_spec_at_all_is_refused(server: Server) -> None:
    body = platform()
    del body["spec"]
    assert refused(server, body) == [NOT_CHECKED, missing("spec")]


COMPONENTS: list[tuple[str, Object, Causes]] = [
    (
        "5-negative",
        {"replicas": -1},
        [wrong(f"{AT}.replicas", f"-1: {AT}.replicas in body should be greater than or equal to 1")],
    ),
    (
        "5-huge",
        {"replicas": 2**31},
        [wrong(f"{AT}.replicas", f"{2**31}: {AT}.replicas in body should be less than or equal to 50")],
    ),
    ("5-text", {"replicas": "3"}, [NOT_CHECKED, wrong_type(f"{AT}.replicas", "string", "integer")]),
    (
        "5-fraction",
        {"replicas": 1.5},
        [
            wrong("<nil>", f'"": Checked value must be of type integer (default format) in {AT}.replicas'),
            NOT_CHECKED,
            wrong_type(f"{AT}.replicas", "number", "integer"),
        ],
    ),
    (
        "6-latest",
        {"version": "latest"},
        [wrong(f"{AT}.version", f'"latest": {AT}.version in body should match {VERSION}')],
    ),
    (
        "6-long",
        {"version": "1" * 300},
        [NOT_CHECKED, ("FieldValueTooLong", f"{AT}.version", "Too long: may not be more than 64 bytes")],
    ),
    (
        "12-gb",
        {"resources": {"requests": {"memory": "1GB"}}},
        [
            wrong(
                f"{AT}.resources.requests.memory",
                f'"1GB": {AT}.resources.requests.memory in body should match {BYTES}',
            )
        ],
    ),
    (
        "12-empty",
        {"resources": {"requests": {"memory": ""}}},
        [wrong(f"{AT}.resources.requests.memory", f'"": {AT}.resources.requests.memory in body should match {BYTES}')],
    ),
    (
        "12-cpu",
        {"resources": {"requests": {"cpu": "2x"}}},
        [wrong(f"{AT}.resources.requests.cpu", f'"2x": {AT}.resources.requests.cpu in body should match {CPU}')],
    ),
    (
        "12-cpu-negative",
        {"resources": {"requests": {"cpu": -1}}},
        [
            wrong(
                f"{AT}.resources.requests.cpu",
                f"-1: {AT}.resources.requests.cpu in body should be greater than or equal to 1",
            )
        ],
    ),
    (
        "12-cpu-boolean",
        {"resources": {"requests": {"cpu": True}}},
        [NOT_CHECKED, wrong_type(f"{AT}.resources.requests.cpu", "boolean", "integer,string")],
    ),
    (
        "18",
        {"retention": "forever"},
        [
            wrong(
                f"{AT}.retention",
                f"\"forever\": {AT}.retention in body should match '^([1-9][0-9]{{0,5}}(m|h|d|w)){{1,3}}$'",
            )
        ],
    ),
    (
        "enum",
        {"logLevel": "loud"},
        [
            NOT_CHECKED,
            (
                "FieldValueNotSupported",
                f"{AT}.logLevel",
                'Unsupported value: "loud": supported values: "debug", "info", "warn", "error"',
            ),
        ],
    ),
    ("map-value", {"nodeSelector": {"a": 5}}, [NOT_CHECKED, wrong_type(f"{AT}.nodeSelector.a", "integer", "string")]),
    (
        "map-too-long",
        {"nodeSelector": {f"k{at}": "x" for at in range(65)}},
        [NOT_CHECKED, ("FieldValueTooMany", f"{AT}.nodeSelector", "Too many: 65: must have at most 64 items")],
    ),
    (
        "list-too-long",
        {"tolerations": [{}] * 33},
        [NOT_CHECKED, ("FieldValueTooMany", f"{AT}.tolerations", "Too many: 33: must have at most 32 items")],
    ),
    (
        "4",
        {"extraEnv": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
        [("FieldValueDuplicate", f"{AT}.extraEnv[1]", 'Duplicate value: {"name":"A"}')],
    ),
    ("4-no-key", {"extraEnv": [{"value": "1"}]}, [NOT_CHECKED, missing(f"{AT}.extraEnv[0].name")]),
    ("boolean", {"enabled": "yes"}, [NOT_CHECKED, wrong_type(f"{AT}.enabled", "string", "boolean")]),
    (
        "too-long-value",
        {"podAnnotations": {"a": "x" * 9000}},
        [NOT_CHECKED, ("FieldValueTooLong", f"{AT}.podAnnotations.a", "Too long: may not be more than 8192 bytes")],
    ),
    (
        "host",
        {"ingress": {"host": "A_b"}},
        [wrong(f"{AT}.ingress.host", f'"A_b": {AT}.ingress.host in body should match {HOST}')],
    ),
    (
        "two-at-once",
        {"replicas": 0, "retention": "x", "logLevel": 5},
        [
            wrong(f"{AT}.replicas", f"0: {AT}.replicas in body should be greater than or equal to 1"),
            wrong(
                f"{AT}.retention", f"\"x\": {AT}.retention in body should match '^([1-9][0-9]{{0,5}}(m|h|d|w)){{1,3}}$'"
            ),
            NOT_CHECKED,
            (
                "FieldValueNotSupported",
                f"{AT}.logLevel",
                'Unsupported value: 5: supported values: "debug", "info", "warn", "error"',
            ),
            wrong_type(f"{AT}.logLevel", "integer", "string"),
        ],
    ),
]


def test_values_of_a_component_are_refused_in_the_servers_words(server: Server) -> None:
    """One test for all of them: each is a dry run in the same namespace."""
    for name, fields, causes in COMPONENTS:
        assert refused(server, platform(**component(**fields))) == sorted(causes), name


@pytest.mark.parametrize(
    ("name", "causes"),
    [
        pytest.param("1a", [wrong("<nil>", NAME)], id="20-digit"),
        pytest.param("a.b", [wrong("<nil>", NAME)], id="20-dot"),
        pytest.param(
            "x" * 40,
            [
                wrong(
                    "<nil>",
                    "the name may have at most 39 characters, because StatefulSets and Services are named after it; "
                    "choose a shorter one",
                )
            ],
            id="19",
        ),
    ],
)
def test_a_name_that_derived_objects_cannot_have_is_refused(server: Server, name: str, causes: Causes) -> None:
    assert refused(server, platform(name)) == causes


# -- what is let in ------------------------------------------------------------------------------------------------


def created(server: Server, **fields: Any) -> Object:
    answer = server.create(platform(**component(**fields)), dryRun="All").ok()
    spec: Object = answer["spec"]["components"]["prometheus"]
    return spec


def test_defaults_are_filled_in_where_the_definition_has_them(server: Server) -> None:
    answer = server.create(platform()).ok()
    assert answer["spec"] == {
        "adopt": False,
        "allowDowngrade": False,
        "components": {"grafana": {"enabled": True, "logFormat": "logfmt", "adminUser": "admin"}},
        "deletionPolicy": "Retain",
        "paused": False,
        "strict": False,
    }
    assert answer["status"] == {"observedGeneration": -1}
    assert answer["metadata"]["generation"] == 1


def test_null_is_absence_and_gets_the_default(server: Server) -> None:
    answer = server.create(platform(**component(replicas=None, logFormat=None), paused=None), dryRun="All").ok()
    assert answer["spec"]["paused"] is False
    assert "replicas" not in answer["spec"]["components"]["prometheus"]
    assert answer["spec"]["components"]["prometheus"]["logFormat"] == "logfmt"


def test_unknown_fields_are_pruned_with_a_warning(server: Server) -> None:
    body = platform(**component(bogus=1), nonsense={"a": 1})
    answer = server.create(body, dryRun="All")
    prometheus = answer.ok()["spec"]["components"]["prometheus"]
    assert "bogus" not in prometheus
    assert "nonsense" not in answer.ok()["spec"]
    assert 'unknown field \\"spec.components.prometheus.bogus\\"' in answer.warning
    assert 'unknown field \\"spec.nonsense\\"' in answer.warning
    assert server.create(body, dryRun="All", fieldValidation="Ignore").warning == ""


def test_unknown_fields_are_refused_where_strictness_is_asked_for(server: Server) -> None:
    answer = server.create(platform(**component(bogus=1)), dryRun="All", fieldValidation="Strict")
    text = 'strict decoding error: unknown field "spec.components.prometheus.bogus"'
    shown = 'ObservabilityPlatform in version "v1beta1" cannot be handled as a ObservabilityPlatform'
    assert answer.refusal() == (400, "BadRequest", f"{shown}: {text}")


def test_free_form_fields_keep_what_is_in_them(server: Server) -> None:
    free = {"a": {"b": [1, None, {"c": "d"}]}, "e": None}
    kept = created(server, additionalScrapeConfigs=[free], image=5)
    assert kept["additionalScrapeConfigs"] == [free]
    assert kept["image"] == 5


def test_text_of_all_planes_is_kept(server: Server) -> None:
    text = 'ü 🔭 \u2028 "\\'
    assert created(server, podAnnotations={"a": text})["podAnnotations"] == {"a": text}


def test_the_status_of_a_creation_is_left_out(server: Server) -> None:
    body = {**platform(), "status": {"phase": 5, "conditions": [{"type": "A"}]}}
    assert server.create(body).ok()["status"] == {"observedGeneration": -1}


# -- status --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "causes"),
    [
        (
            {"phase": "Nope"},
            [
                NOT_CHECKED,
                (
                    "FieldValueNotSupported",
                    "status.phase",
                    f'Unsupported value: "Nope": supported values: {PHASES}',
                ),
            ],
        ),
        (
            {"observedGeneration": "1"},
            [NOT_CHECKED, wrong_type("status.observedGeneration", "string", "integer", "observedGeneration")],
        ),
        (
            {"conditions": [{"type": "A"}]},
            [
                NOT_CHECKED,
                *(missing(f"status.conditions[0].{name}") for name in ("lastTransitionTime", "reason", "status")),
            ],
        ),
        (
            {"conditions": [{"type": "A", "status": "X", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
            [
                NOT_CHECKED,
                (
                    "FieldValueNotSupported",
                    "status.conditions[0].status",
                    'Unsupported value: "X": supported values: "True", "False", "Unknown"',
                ),
            ],
        ),
        (
            {
                "conditions": [
                    {"type": "A", "status": value, "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                    for value in ("True", "False")
                ]
            },
            [("FieldValueDuplicate", "status.conditions[1]", 'Duplicate value: {"type":"A"}')],
        ),
        (
            {
                "conditions": [
                    {"type": "A", "status": "True", "reason": "R", "lastTransitionTime": "2026-13-01T00:00:00Z"}
                ]
            },
            [
                NOT_CHECKED,
                (
                    "FieldValueTypeInvalid",
                    "status.conditions[0].lastTransitionTime",
                    f"Invalid value: {NO_DATE}: {DATE} in body must be of type date-time: {NO_DATE}",
                ),
            ],
        ),
    ],
    ids=["enum", "type", "required", "condition-status", "twice", "date"],
)
def test_a_status_is_judged_on_its_own(server: Server, status: Object, causes: Causes) -> None:
    server.create(platform()).ok()
    answer = server.patch(platform(), {"status": status}, subresource="status")
    assert answer.refusal()[:2] == (422, "Invalid")
    assert answer.causes == causes


def test_a_status_write_leaves_spec_labels_and_generation_alone(server: Server) -> None:
    before = server.create(platform()).ok()
    body = {"metadata": {"labels": {"a": "1"}}, "spec": {"paused": True}, "status": {"phase": "Ready", "bogus": 1}}
    answer = server.patch(platform(), body, subresource="status")
    after = answer.ok()
    assert (after["status"]["phase"], "bogus" in after["status"]) == ("Ready", False)
    assert 'unknown field \\"status.bogus\\"' in answer.warning
    assert (after["spec"], "labels" in after["metadata"]) == (before["spec"], False)
    assert after["metadata"]["generation"] == 1


def test_a_spec_write_leaves_the_status_alone(server: Server) -> None:
    server.create(platform()).ok()
    server.patch(platform(), {"status": {"phase": "Ready"}}, subresource="status").ok()
    after = server.patch(platform(), {"spec": {"paused": True}, "status": {"phase": "Failed"}}).ok()
    assert (after["status"]["phase"], after["spec"]["paused"], after["metadata"]["generation"]) == ("Ready", True, 2)


def test_there_is_no_scale_and_nothing_else_below_a_platform(server: Server) -> None:
    server.create(platform()).ok()
    for subresource in ("scale", "nonsense"):
        assert server.get(platform(), subresource).status == 404


# -- versions ------------------------------------------------------------------------------------------------------


def test_both_versions_show_the_same_object_and_the_newer_is_stored(server: Server) -> None:
    old, new = (platform(version=f"observability.io/{version}") for version in ("v1alpha1", "v1beta1"))
    created_as = server.create(old).ok()
    assert created_as["apiVersion"] == "observability.io/v1alpha1"
    shown = server.get(new).ok()
    assert shown["apiVersion"] == "observability.io/v1beta1"
    for part in ("spec", "status"):
        assert shown[part] == created_as[part]
    assert shown["metadata"]["uid"] == created_as["metadata"]["uid"]
    definition: Object = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "observabilityplatforms.observability.io"},
    }
    status = server.get(definition).ok()["status"]
    assert status["storedVersions"] == ["v1beta1"]
    assert status["acceptedNames"]["shortNames"] == ["obsp"]
    conditions = {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}
    assert conditions["Established"] == ("True", "InitialNamesAccepted")
    assert conditions["NamesAccepted"] == ("True", "NoConflicts")
    # Nothing that a structural schema must not have.
    assert "NonStructuralSchema" not in conditions


def test_a_version_that_is_not_served_is_not_found(server: Server) -> None:
    body = platform(version="observability.io/v1")
    assert server.create(body).status == 404
    assert server.get(body).status == 404
