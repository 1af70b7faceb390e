"""Bad specs, each refused both by our validator and by the CRD, because either may be the only one that sees it."""

from typing import Any

import pytest

from api.naming import NAME_LENGTH_MAX
from api.parsing import parse_spec
from tests.api.admission import admit, platform, refused


def prometheus(**fields: Any) -> dict[str, Any]:
    return {"components": {"prometheus": {"enabled": True, **fields}}}


def check_both_refuse(spec: Any, path: str, name: str = "prod") -> None:
    parsed = parse_spec(spec, name=name)
    assert parsed.spec is None
    assert any(path in finding.message or path == finding.subject for finding in parsed.findings), parsed.findings
    assert refused(spec, name)


@pytest.mark.parametrize("spec", [None, {}, [], "prometheus", 5], ids=["null", "empty", "list", "text", "number"])
def test_a_spec_that_is_no_object_with_content_is_refused(spec: Any) -> None:
    check_both_refuse(spec, "spec")


def test_a_resource_without_a_spec_is_refused_by_the_crd() -> None:
    without = platform({})
    del without["spec"]
    assert any("spec" in error for error in admit(without)[1])


def test_a_typing_error_in_a_field_name_is_pruned_and_warned_of_once_with_a_suggestion() -> None:
    spec = {"components": {"prometheus": {}, "promethues": {"enabled": True}}}
    parsed = parse_spec(spec)
    assert parsed.spec is not None
    assert [warning.reason for warning in parsed.warnings] == ["UnknownField"]
    assert "did you mean components.prometheus?" in parsed.warnings[0].message
    assert parsed.unknown_fields == ("components.promethues",)
    stored, errors = admit(platform(spec))
    assert errors == []
    assert "promethues" not in stored["spec"]["components"]


def test_strict_turns_an_unknown_field_into_a_refusal() -> None:
    parsed = parse_spec({**prometheus(retnetion="5d"), "strict": True})
    assert parsed.spec is None
    assert [finding.reason for finding in parsed.findings] == ["UnknownField"]


@pytest.mark.parametrize(
    "components",
    [{}, {"prometheus": {"enabled": False}}, {"loki": {"enabled": False}, "grafana": {"enabled": False}}],
    ids=["none", "one-disabled", "all-disabled"],
)
def test_a_platform_in_which_nothing_runs_is_refused(components: dict[str, Any]) -> None:
    check_both_refuse({"components": components}, "at least one component must be enabled")


def test_two_entries_of_a_keyed_list_with_one_name_are_refused() -> None:
    # The components are fields of an object and cannot repeat; lists that are told apart by a name can.
    parsed = parse_spec(prometheus(extraEnv=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]))
    assert parsed.spec is None
    assert "A is given twice" in parsed.findings[0].message


@pytest.mark.parametrize("replicas", [-1, 0, 10**9, 2**31, "3", 1.5, True], ids=str)
def test_replicas_that_are_no_small_whole_number_are_refused(replicas: Any) -> None:
    check_both_refuse(prometheus(replicas=replicas), "spec.components.prometheus.replicas")


@pytest.mark.parametrize(
    "version", ["", "latest", "v1..2", "1." * 150, "3.13. 2", "3.13.2\n", "3.13", "^3.0.0", 3.13], ids=repr
)
def test_a_version_that_is_none_is_refused_and_never_reaches_an_image(version: Any) -> None:
    check_both_refuse(prometheus(version=version), "spec.components.prometheus.version")


def test_a_version_outside_the_matrix_is_refused_with_the_supported_ones() -> None:
    parsed = parse_spec(prometheus(version="99.0.0"))
    assert parsed.spec is None
    assert [finding.reason for finding in parsed.findings] == ["UnsupportedVersion"]
    assert "3.0 to 3.14" in parsed.findings[0].message


def test_two_versions_that_do_not_work_together_are_refused_with_both_names() -> None:
    spec = {"components": {"prometheus": {"version": "3.13.2"}, "alertmanager": {"version": "0.26.0"}}}
    parsed = parse_spec(spec)
    assert [finding.reason for finding in parsed.findings] == ["IncompatibleVersions"]
    assert "prometheus 3.13.2" in parsed.findings[0].message
    assert "alertmanager 0.26.0" in parsed.findings[0].message


@pytest.mark.parametrize("image", [" x", "x ", "a b", "UPPER/Case:x y", "x:tag:tag", "http://x/y", ""], ids=repr)
def test_an_image_that_is_no_reference_is_refused(image: str) -> None:
    check_both_refuse(prometheus(image=image), "spec.components.prometheus.image")


def test_an_image_by_tag_is_refused_where_digests_are_required() -> None:
    spec = {**prometheus(image="quay.io/prometheus/prometheus:v3.13.2"), "security": {"requireDigests": True}}
    parsed = parse_spec(spec)
    assert parsed.spec is None
    assert "digest" in parsed.findings[0].message


@pytest.mark.parametrize("size", ["1GB", "-1Mi", "", "1e999", 5, "0Gi", "ten", "1 Gi", 1.5], ids=repr)
def test_an_amount_of_storage_that_is_no_quantity_is_refused(size: Any) -> None:
    check_both_refuse(prometheus(storage={"size": size}), "spec.components.prometheus.storage.size")


@pytest.mark.parametrize("memory", ["1GB", "-1Mi", "", "1e999", 5], ids=repr)
def test_an_amount_of_memory_that_is_no_quantity_is_refused(memory: Any) -> None:
    check_both_refuse(prometheus(resources={"limits": {"memory": memory}}), "resources.limits.memory")


@pytest.mark.parametrize("cpu", ["1GB", "-1", "", "1e9", 0, "0", 1.5], ids=repr)
def test_an_amount_of_cpu_that_is_none_is_refused(cpu: Any) -> None:
    check_both_refuse(prometheus(resources={"requests": {"cpu": cpu}}), "resources.requests.cpu")


@pytest.mark.parametrize(
    ("request_", "limit"),
    [({"cpu": 2}, {"cpu": "500m"}), ({"cpu": "1.5"}, {"cpu": 1}), ({"memory": "2Gi"}, {"memory": "2G"})],
    ids=["cpu", "cpu-fraction", "memory"],
)
def test_a_request_above_its_limit_is_refused(request_: dict[str, Any], limit: dict[str, Any]) -> None:
    check_both_refuse(prometheus(resources={"requests": request_, "limits": limit}), "raise the limit")


@pytest.mark.parametrize("retention", ["0", "-1d", "forever", "1y", "0d", "", "1.5d", "15 d", 15], ids=repr)
@pytest.mark.parametrize("component", ["prometheus", "loki", "tempo", "alertmanager"])
def test_a_retention_that_is_none_is_refused(component: str, retention: Any) -> None:
    check_both_refuse({"components": {component: {"retention": retention}}}, f"spec.components.{component}.retention")


def test_a_name_that_leaves_no_room_for_derived_names_is_refused_with_the_limit() -> None:
    check_both_refuse(prometheus(), f"at most {NAME_LENGTH_MAX}", name="p" * (NAME_LENGTH_MAX + 1))
    assert parse_spec(prometheus(), name="p" * NAME_LENGTH_MAX).spec is not None
    assert not refused(prometheus(), "p" * NAME_LENGTH_MAX)


@pytest.mark.parametrize("name", ["1st", "a.b", ".a", "a-", "A", "a_b"])
def test_a_name_that_no_service_can_have_is_refused(name: str) -> None:
    check_both_refuse(prometheus(), "must start with a letter", name=name)


def test_emoji_and_other_characters_beyond_the_basic_plane_are_accepted() -> None:
    spec = prometheus(externalLabels={"team": "🦜 parrots 𐍈"})
    parsed = parse_spec(spec)
    assert parsed.spec is not None
    assert parsed.spec.components.prometheus is not None
    assert parsed.spec.components.prometheus.external_labels == {"team": "🦜 parrots 𐍈"}
    assert not refused(spec)


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "ok\udfff"], ids=["nul", "high", "low"])
@pytest.mark.parametrize("as_key", [False, True], ids=["value", "key"])
def test_text_that_no_database_stores_is_refused_by_path(text: str, as_key: bool) -> None:
    labels = {text: "x"} if as_key else {"team": text}
    parsed = parse_spec(prometheus(externalLabels=labels))
    assert parsed.spec is None
    assert any("NUL or a lone surrogate" in finding.message for finding in parsed.findings)
    for finding in parsed.findings:
        finding.message.encode()


@pytest.mark.parametrize(
    "number",
    [float("nan"), float("inf"), -float("inf"), 10**400000, 2**64],
    ids=lambda n: str(n)[:6] if isinstance(n, float) else f"{n.bit_length()}-bits",
)
def test_numbers_that_json_does_not_have_are_refused_by_path(number: Any) -> None:
    parsed = parse_spec(prometheus(replicas=number))
    assert parsed.spec is None
    assert parsed.findings[0].subject == "spec.components.prometheus.replicas"


@pytest.mark.parametrize("name", ["../x", "", ".", "..", "UPPER", "a/b", "other-ns/secret"], ids=repr)
def test_a_reference_to_a_secret_is_a_plain_name(name: str) -> None:
    for reference in ({"secretKeyRef": {"name": name, "key": "password"}}, {"secretRef": {"name": name, "key": "k"}}):
        parsed = parse_spec({"components": {"grafana": {"adminPassword": reference}}})
        assert parsed.spec is None
        assert parsed.findings[0].subject == "spec.components.grafana.adminPassword.name"


@pytest.mark.parametrize("key", ["../x", "", ".", "..", "a b"], ids=repr)
def test_a_key_of_a_secret_is_a_plain_name(key: str) -> None:
    parsed = parse_spec({"components": {"grafana": {"adminPassword": {"secretKeyRef": {"name": "a", "key": key}}}}})
    assert parsed.spec is None


def test_a_reference_into_another_namespace_cannot_be_written() -> None:
    reference = {"secretKeyRef": {"name": "a", "key": "b", "namespace": "other"}}
    parsed = parse_spec({"components": {"grafana": {"adminPassword": reference}}})
    assert parsed.spec is not None
    assert "other" not in parsed.spec.model_dump_json()


@pytest.mark.parametrize("paused", ["yes", "true", 1, 0, "on"], ids=repr)
def test_paused_is_true_or_false_and_nothing_else(paused: Any) -> None:
    check_both_refuse({**prometheus(), "paused": paused}, "spec.paused")


def test_paused_null_means_false() -> None:
    parsed = parse_spec({**prometheus(), "paused": None})
    assert parsed.spec is not None
    assert parsed.spec.paused is False
    stored, errors = admit(platform({**prometheus(), "paused": None}))
    assert errors == []
    assert stored["spec"]["paused"] is False


@pytest.mark.parametrize("flag", ["--web.enable-admin-api", "config.file", "-storage.tsdb.path", "web.config.file"])
def test_a_flag_outside_the_list_is_refused(flag: str) -> None:
    parsed = parse_spec(prometheus(extraArgs=[{"name": flag, "value": "/etc/passwd"}]))
    assert parsed.spec is None
    assert "extraArgs" in parsed.findings[0].message


@pytest.mark.parametrize("variable", ["bad name", "", "1A", "A-B", "A=B"], ids=repr)
def test_an_environment_variable_with_a_bad_name_is_refused(variable: str) -> None:
    check_both_refuse(prometheus(extraEnv=[{"name": variable, "value": "x"}]), "extraEnv[0].name")


@pytest.mark.parametrize("host", ["", "*", "a b", "*.example.com", "-a", "a_b", "UPPER"], ids=repr)
def test_an_ingress_host_that_is_no_host_name_is_refused(host: str) -> None:
    check_both_refuse({"components": {"grafana": {"ingress": {"host": host}}}}, "ingress.host")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://x", "ftp://x", "x", "https:// x"], ids=repr)
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    check_both_refuse(prometheus(remoteWrite=[{"url": url}]), "remoteWrite[0].url")


def test_a_url_with_credentials_is_refused_without_showing_them() -> None:
    spec = prometheus(remoteWrite=[{"url": "https://user:hunter2@example.com/push"}])
    check_both_refuse(spec, "remoteWrite[0].url")
    assert "hunter2" not in repr(parse_spec(spec))


def test_configuration_text_that_does_not_parse_is_refused_with_line_and_column() -> None:
    text = "- job_name: a\n  basic_auth: {password: hunter2\n"
    parsed = parse_spec(prometheus(additionalScrapeConfigs=text))
    assert parsed.spec is None
    assert [finding.reason for finding in parsed.findings] == ["ConfigInvalid"]
    assert "line 3, column 1" in parsed.findings[0].message
    assert "hunter2" not in repr(parsed)


@pytest.mark.parametrize(
    "config",
    [
        [{"job_name": "a", "basic_auth": {"username": "u", "password_file": "/var/run/token"}}],
        [{"job_name": "a", "bearer_token_file": "/var/run/secrets/kubernetes.io/serviceaccount/token"}],
        [{"job_name": "a", "file_sd_configs": [{"files": ["/etc/*"]}]}],
        [{"job_name": "a", "tls_config": {"ca_file": "/etc/ca"}}],
        "- job_name: a\n  authorization: {credentials_file: /etc/passwd}\n",
    ],
    ids=["password", "token", "file-sd", "ca", "text"],
)
def test_free_form_configuration_names_no_files(config: Any) -> None:
    parsed = parse_spec(prometheus(additionalScrapeConfigs=config))
    assert parsed.spec is None
    assert "a spec names no files" in parsed.findings[0].message


def test_grafana_settings_name_no_files() -> None:
    parsed = parse_spec({"components": {"grafana": {"config": {"auth.jwt": {"key_file": "/var/run/token"}}}}})
    assert parsed.spec is None
    assert "config.auth.jwt.key_file" in parsed.findings[0].message
    served_below = {"server": {"serve_from_sub_path": True}}
    assert parse_spec({"components": {"grafana": {"config": served_below}}}).spec is not None


def test_affinity_does_not_look_into_other_namespaces() -> None:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}, "namespaces": ["kube-system"]}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    assert parse_spec(prometheus(affinity=affinity)).spec is None


@pytest.mark.parametrize("component", ["loki", "tempo", "grafana"])
def test_more_replicas_than_the_storage_can_share_are_refused(component: str) -> None:
    check_both_refuse({"components": {component: {"replicas": 2}}}, "replicas above 1 needs")


@pytest.mark.parametrize(
    "raw",
    [
        {"components": {"prometheus": [1]}},
        {"components": [{"prometheus": {}}]},
        {"components": {"prometheus": "yes"}},
        {"global": 5, "components": {"loki": {}}},
        {"alerting": {"alertmanager": [], "rules": 3}, "components": {"prometheus": {}}},
        {"components": {"tempo": {"receivers": {"otlp": {"protocols": [1]}, "jaeger": 5}}}},
        {"components": {"grafana": {"config": {"users": [1]}, "plugins": {"install": 5}, "ingress": {"tls": [1]}}}},
        {"backup": {"retention": "dd", "s3": 4}, "components": {"prometheus": {}}},
        {"highAvailability": {"antiAffinity": {"mode": 4}}, "components": {"prometheus": {}}},
    ],
)
def test_a_value_of_another_type_at_any_place_is_a_finding_and_never_an_exception(raw: Any) -> None:
    assert parse_spec(raw, name="prod").findings


def test_a_spec_a_thousand_levels_deep_is_a_finding() -> None:
    deep: Any = {}
    for _ in range(1000):
        deep = {"a": deep}
    assert parse_spec({**prometheus(additionalScrapeConfigs=[deep])}).findings


def test_a_thousand_faults_are_summed_up() -> None:
    parsed = parse_spec(prometheus(extraEnv=[{"name": "a b", "value": "x"}] * 50))
    assert len(parsed.findings) == 20
    assert "31 more" in parsed.findings[-1].message
