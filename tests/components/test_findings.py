"""What is refused before anything reaches the cluster, by reason and place."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from api.parsing import parse_spec
from components.findings import CONFIG_BYTES_MAX, findings
from eventstore.events import Finding
from tests.components.samples import ALL_DEFAULT, FULL, MINIMAL, context_of


def _found(component: str, block: dict[str, Any], **spec: Any) -> list[tuple[str, str]]:
    context = context_of({"components": {component: block}, **spec})
    return [(finding.reason, finding.subject) for finding in findings(context)]


def _only(component: str, block: dict[str, Any], **spec: Any) -> Finding:
    found = findings(context_of({"components": {component: block}, **spec}))
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("spec", [MINIMAL, ALL_DEFAULT, FULL], ids=["minimal", "all-default", "full"])
def test_a_sound_spec_has_no_findings(spec: dict[str, Any]) -> None:
    assert findings(context_of(spec)) == ()


def test_a_rendered_config_map_above_a_mebibyte_is_too_large_and_says_how_many_bytes() -> None:
    text = json.dumps({"title": "x" * 250_000})
    dashboards = [{"name": f"d{number}", "json": text} for number in range(5)]
    finding = _only("grafana", {"dashboards": dashboards})
    assert finding.reason == "ConfigTooLarge"
    assert str(5 * len(text))[:4] in finding.message
    assert str(CONFIG_BYTES_MAX) in finding.message


def test_a_dashboard_that_is_not_json_is_named_with_line_and_column() -> None:
    finding = _only("grafana", {"dashboards": [{"name": "x", "json": '{\n "title": }'}]})
    assert (finding.reason, finding.subject) == ("ConfigInvalid", "spec.components.grafana.dashboards[0].json")
    assert "line 2, column 11" in finding.message


def test_a_dashboard_must_be_an_object() -> None:
    assert _found("grafana", {"dashboards": [{"name": "x", "json": "[]"}]})[0][0] == "ConfigInvalid"


@pytest.mark.parametrize("value", ["a\nb", "${HOME}", "$__file{/etc/passwd}"])
def test_a_grafana_setting_that_cannot_be_literal_is_an_invalid_value(value: str) -> None:
    finding = _only("grafana", {"config": {"users": {"default_theme": value}}})
    assert (finding.reason, finding.subject) == ("InvalidValue", "spec.components.grafana.config.users.default_theme")
    assert value not in finding.message


@pytest.mark.parametrize(("section", "key"), [("paths", "data"), ("server", "http_port"), ("paths", "provisioning")])
def test_settings_that_belong_to_the_operator_are_refused(section: str, key: str) -> None:
    finding = _only("grafana", {"config": {section: {key: "x"}}})
    assert finding.subject == f"spec.components.grafana.config.{section}.{key}"


@pytest.mark.parametrize("name", ["GF_PATHS_DATA", "POD_NAME", "AWS_SECRET_ACCESS_KEY"])
def test_variables_that_belong_to_the_operator_are_refused(name: str) -> None:
    block = {"extraEnv": [{"name": name, "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}]}
    assert _found("loki", block) == [("ReservedSetting", "spec.components.loki.extraEnv")]


def test_tempo_3_does_not_replicate() -> None:
    s3 = {"bucket": "traces"}
    assert _found("tempo", {"version": "3.0.3", "replicas": 2, "s3": s3}) == [
        ("InvalidValue", "spec.components.tempo.replicas")
    ]
    assert _found("tempo", {"version": "2.10.8", "replicas": 2, "s3": s3}) == []


@pytest.mark.parametrize(
    ("component", "name"),
    [("loki", "components.loki"), ("tempo", "components.tempo"), ("grafana", "components.grafana")],
)
def test_replicas_that_share_nothing_are_refused_even_if_the_models_let_them_pass(component: str, name: str) -> None:
    context = context_of({"components": {component: {}}})
    block = getattr(context.spec.components, component).model_copy(update={"replicas": 2})
    components = context.spec.components.model_copy(update={component: block})
    spec = context.spec.model_copy(update={"components": components})
    assert [f.subject for f in findings(replace(context, spec=spec))] == [f"spec.{name}.replicas"]


def test_more_copies_than_replicas_are_refused() -> None:
    ha = {"enabled": True, "replicationFactor": 3}
    block = {"s3": {"bucket": "logs"}, "replicas": 2}
    assert _found("loki", block, highAvailability=ha) == [("InvalidValue", "spec.highAvailability.replicationFactor")]


def test_a_scrape_job_without_or_with_a_taken_name_is_refused() -> None:
    jobs = [{"job_name": "a"}, {"job_name": "a"}, {"static_configs": []}, {"job_name": "prod-prometheus"}]
    found = _found("prometheus", {"additionalScrapeConfigs": jobs})
    assert [reason for reason, _ in found] == ["ConfigInvalid"] * 3
    assert ("ConfigInvalid", "spec.components.prometheus.additionalScrapeConfigs[2]") in found


def test_a_secret_in_a_scrape_config_where_only_text_works_is_refused() -> None:
    job = {"job_name": "a", "params": {"token": {"secretKeyRef": {"name": "x", "key": "y"}}}}
    finding = _only("prometheus", {"additionalScrapeConfigs": [job]})
    assert (finding.reason, finding.subject) == (
        "InvalidValue",
        "spec.components.prometheus.additionalScrapeConfigs[0].params.token",
    )


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Authorization": "x"}, "basicAuth or bearerToken"),
        ({"Content-Type": "x"}, "sets this header itself"),
        ({"a b": "x"}, "not the name"),
        ({"X-Note": "a\nEvil: b"}, "on one line"),
    ],
)
def test_headers_that_prometheus_would_refuse_at_start_are_refused_before(headers: dict[str, str], words: str) -> None:
    block = {"remoteWrite": [{"url": "https://far.example.com/push", "headers": headers}]}
    finding = _only("prometheus", block)
    assert finding.reason == "InvalidValue"
    assert finding.subject.startswith("spec.components.prometheus.remoteWrite[0].headers.")
    assert words in finding.message


def test_a_secret_header_needs_a_prometheus_that_reads_files() -> None:
    entry = {"url": "https://far.example.com/push", "headers": {"X-Key": {"secretKeyRef": {"name": "a", "key": "b"}}}}
    assert _found("prometheus", {"remoteWrite": [entry]}) == []
    found = _found("prometheus", {"version": "2.54.0", "remoteWrite": [entry]})
    assert [reason for reason, _ in found] == ["InvalidValue"]


def test_two_ways_to_authenticate_are_one_too_many() -> None:
    entry = {"url": "https://far.example.com/push", "basicAuth": {"username": "u", "password": "p"}, "bearerToken": "t"}
    assert _found("prometheus", {"remoteWrite": [entry]}) == [
        ("InvalidValue", "spec.components.prometheus.remoteWrite[0]")
    ]


@pytest.mark.parametrize(
    "flag", ["--web.enable-admin-api", "--config.file", "web.enable-lifecycle", "storage.tsdb.path"]
)
def test_flags_that_open_an_api_or_name_a_file_are_refused(flag: str) -> None:
    spec = {"components": {"prometheus": {"extraArgs": [{"name": flag, "value": "/etc/passwd"}]}}}
    parsed = parse_spec(spec, name="prod")
    assert parsed.spec is None
    assert flag.lstrip("-") in parsed.findings[0].message


def test_a_scrape_timeout_above_the_interval_is_refused() -> None:
    assert _found("prometheus", {"scrapeInterval": "10s", "scrapeTimeout": "1m"})[0][1].endswith("scrapeTimeout")


def test_rule_groups_may_repeat_between_the_two_places_but_not_within_one() -> None:
    group = {"name": "g", "rules": [{"record": "a", "expr": "up"}]}
    both = {"components": {"prometheus": {"alertingRules": [group]}, "alertmanager": {"rules": [group]}}}
    assert findings(context_of(both)) == ()
    assert _found("prometheus", {"alertingRules": [group, group]}) == [
        ("ConfigInvalid", "spec.components.prometheus.alertingRules")
    ]


def test_routes_to_receivers_that_do_not_exist_are_refused_at_any_depth() -> None:
    config = {
        "route": {"receiver": "a", "routes": [{"receiver": "b", "routes": [{"receiver": "c"}]}]},
        "receivers": [{"name": "a"}, {"name": "b"}],
    }
    finding = _only("alertmanager", {"config": config})
    assert finding.subject == "spec.components.alertmanager.config.route.routes[0].routes[0].receiver"


@pytest.mark.parametrize(
    "config", [{"receivers": []}, {"route": []}, {"route": {"receiver": "a"}, "receivers": {"a": 1}}]
)
def test_an_alertmanager_configuration_of_the_wrong_shape_is_refused(config: dict[str, Any]) -> None:
    assert _found("alertmanager", {"config": config})[0][0] == "ConfigInvalid"


def test_data_sources_that_would_replace_ours_are_refused() -> None:
    spec = {"components": {"grafana": {"datasources": [{"name": "Loki", "type": "loki", "uid": "loki"}]}, "loki": {}}}
    assert [f.reason for f in findings(context_of(spec))] == ["ConfigInvalid", "ConfigInvalid"]


def test_two_default_data_sources_are_refused() -> None:
    sources = [{"name": name, "type": "loki", "isDefault": True} for name in "ab"]
    assert _found("grafana", {"datasources": sources}) == [("ConfigInvalid", "spec.components.grafana.datasources")]


def test_an_image_tag_that_contradicts_the_version_is_refused() -> None:
    found = _found("prometheus", {"version": "3.13.2", "image": "x/prometheus:v3.12.0"})
    assert found == [("InvalidValue", "spec.components.prometheus.image")]


def test_tls_that_would_not_be_there_is_refused_instead_of_ignored() -> None:
    assert _found("loki", {}, security={"tls": True}) == [("NotSupported", "spec.security.tls")]
