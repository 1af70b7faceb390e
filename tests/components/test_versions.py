"""What differs between versions of the same component."""

from typing import Any

import pytest

from components.registry import image, running_version, workload_ref
from eventstore.vocabulary import ComponentName
from tests.components.samples import ALL_DEFAULT, container_of, context_of, file_of, rendered


def _args(version: str) -> list[str]:
    spec = {"components": {"prometheus": {"version": version, "retention": "30d", "retentionSize": "90GB"}}}
    args: list[str] = container_of(rendered(spec), "prod-prometheus")["args"]
    return args


@pytest.mark.parametrize("version", ["2.55.1", "3.5.5", "3.10.0"])
def test_prometheus_below_3_11_takes_its_retention_from_flags(version: str) -> None:
    assert {"--storage.tsdb.retention.time=30d", "--storage.tsdb.retention.size=90GB"} <= set(_args(version))
    manifests = rendered({"components": {"prometheus": {"version": version, "retention": "30d"}}})
    assert "storage" not in file_of(manifests, "prod-prometheus-config", "prometheus.yml")


@pytest.mark.parametrize("version", ["3.11.0", "3.13.2", "3.14.0"])
def test_prometheus_from_3_11_on_takes_its_retention_from_the_file(version: str) -> None:
    assert not [arg for arg in _args(version) if "retention" in arg]
    spec = {"components": {"prometheus": {"version": version, "retention": "36h", "retentionSize": "90GB"}}}
    config = file_of(rendered(spec), "prod-prometheus-config", "prometheus.yml")
    assert config["storage"]["tsdb"]["retention"] == {"time": "36h", "size": "90GB"}


def test_prometheus_2_is_told_to_expand_external_labels_and_3_does_so_by_itself() -> None:
    assert "--enable-feature=expand-external-labels" in _args("2.55.1")
    assert not [arg for arg in _args("3.13.2") if "enable-feature" in arg]


def _tempo(version: str) -> dict[str, Any]:
    spec = {"components": {"tempo": {"version": version, "retention": "1w"}, "prometheus": {}}}
    found: dict[str, Any] = file_of(rendered(spec), "prod-tempo-config", "tempo.yaml")
    return found


def test_tempo_2_deletes_blocks_in_its_compactor() -> None:
    config = _tempo("2.10.8")
    assert config["compactor"] == {"compaction": {"block_retention": "168h"}}
    assert not {"backend_scheduler", "backend_worker"} & set(config)


def test_tempo_3_deletes_blocks_in_scheduler_and_worker_and_has_none_of_the_removed_blocks() -> None:
    config = _tempo("3.0.3")
    assert config["backend_scheduler"]["provider"]["compaction"]["compaction"] == {"block_retention": "168h"}
    assert config["backend_worker"]["compaction"] == {"block_retention": "168h"}
    assert not {"compactor", "ingester", "ingester_client", "metrics_generator_client"} & set(config)


@pytest.mark.parametrize("version", ["2.10.8", "3.0.3"])
def test_tempo_receives_from_outside_its_own_pod(version: str) -> None:
    protocols = _tempo(version)["distributor"]["receivers"]["otlp"]["protocols"]
    assert protocols == {"grpc": {"endpoint": "0.0.0.0:4317"}, "http": {"endpoint": "0.0.0.0:4318"}}


def _loki(**block: Any) -> dict[str, Any]:
    spec = {"components": {"loki": block, "alertmanager": {}}}
    found: dict[str, Any] = file_of(rendered(spec), "prod-loki-config", "loki.yaml")
    return found


def test_loki_starts_with_the_index_and_schema_that_version_3_needs() -> None:
    period = _loki()["schema_config"]["configs"][0]
    assert (period["store"], period["schema"], period["object_store"]) == ("tsdb", "v13", "filesystem")
    assert period["index"]["period"] == "24h"


def test_loki_deletes_old_logs_only_with_all_three_settings() -> None:
    config = _loki(retention="14d")
    assert config["compactor"]["retention_enabled"] is True
    assert config["compactor"]["delete_request_store"] == "filesystem"
    assert config["limits_config"]["retention_period"] == "14d"


def test_loki_3_on_an_old_schema_does_without_structured_metadata() -> None:
    old = [{"version": "v12", "effectiveDate": "2023-01-01"}]
    assert _loki(schema=old)["limits_config"]["allow_structured_metadata"] is False
    assert "allow_structured_metadata" not in _loki(version="2.9.8", schema=old)["limits_config"]


def test_the_ruler_of_an_older_loki_is_told_to_speak_version_2() -> None:
    assert _loki(version="3.1.0")["ruler"]["enable_alertmanager_v2"] is True
    assert "enable_alertmanager_v2" not in _loki(version="3.7.6")["ruler"]


def test_the_ruler_does_not_write_into_the_read_only_working_directory() -> None:
    assert _loki()["ruler"]["wal"]["dir"].startswith("/loki/")


def test_grafana_gets_plugins_in_the_way_its_version_knows() -> None:
    def grafana(version: str) -> tuple[str, list[dict[str, Any]]]:
        spec = {"components": {"grafana": {"version": version, "plugins": ["grafana-clock-panel 2.1.3"]}}}
        manifests = rendered(spec)
        ini = next(m.body for m in manifests if m.ref.kind == "ConfigMap")["data"]["grafana.ini"]
        return ini, container_of(manifests, "prod-grafana")["env"]

    ini, env = grafana("13.2.2")
    assert "preinstall = grafana-clock-panel@2.1.3" in ini
    assert "GF_INSTALL_PLUGINS" not in {entry["name"] for entry in env}
    ini, env = grafana("10.4.1")
    assert "preinstall" not in ini
    assert {"name": "GF_INSTALL_PLUGINS", "value": "grafana-clock-panel 2.1.3"} in env


def test_nothing_reports_home_or_looks_for_updates() -> None:
    manifests = rendered(ALL_DEFAULT)
    assert file_of(manifests, "prod-loki-config", "loki.yaml")["analytics"] == {"reporting_enabled": False}
    assert file_of(manifests, "prod-tempo-config", "tempo.yaml")["usage_report"] == {"reporting_enabled": False}
    ini = next(m.body["data"]["grafana.ini"] for m in manifests if m.ref.name == "prod-grafana-config")
    for setting in ("reporting_enabled", "check_for_updates", "check_for_plugin_updates", "news_feed_enabled"):
        assert f"{setting} = false" in ini
    assert "preinstall_disabled = true" in ini


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("quay.io/prometheus/prometheus:v3.13.2", "3.13.2"),
        ("registry:5000/grafana/loki:3.7.6", "3.7.6"),
        ("grafana/grafana:13.2.2-ubuntu", "13.2.2"),
        ("x/prometheus:v3.14.0-distroless", "3.14.0"),
        ("x/prometheus:v3.0.0-rc.1", "3.0.0-rc.1"),
        ("x/tempo:2.10.8@sha256:" + "0" * 64, "2.10.8"),
        ("x/tempo@sha256:" + "0" * 64, ""),
        ("registry:5000/x/tempo", ""),
        ("x/tempo:main", ""),
        ("", ""),
    ],
)
def test_the_running_version_is_read_from_the_image_reference(reference: str, version: str) -> None:
    assert running_version(ComponentName.PROMETHEUS, reference) == version


@pytest.mark.parametrize("component", list(ComponentName))
def test_the_version_that_is_rendered_is_the_version_that_is_read_back(component: ComponentName) -> None:
    context = context_of(ALL_DEFAULT)
    assert running_version(component, image(component, context)) == context.version(component)


def test_versions_of_the_context_win_over_those_of_the_spec() -> None:
    context = context_of(ALL_DEFAULT, versions={"loki": "3.6.15"})
    assert image(ComponentName.LOKI, context).endswith(":3.6.15")


def test_the_image_parts_of_a_spec_replace_ours_one_by_one() -> None:
    digest = "sha256:" + "a" * 64
    for given, expected in (
        ("mirror/x:v3.13.2-custom", "mirror/x:v3.13.2-custom"),
        ({"repository": "mirror/x"}, "mirror/x:v3.13.2"),
        ({"digest": digest}, f"quay.io/prometheus/prometheus:v3.13.2@{digest}"),
    ):
        spec = {"components": {"prometheus": {"version": "3.13.2", "image": given}}}
        assert image(ComponentName.PROMETHEUS, context_of(spec)) == expected


def test_workloads_are_known_without_rendering() -> None:
    spec = context_of({"components": {"grafana": {"persistence": {"enabled": False}}, "loki": {}}}).spec
    assert str(workload_ref(ComponentName.LOKI, "prod")) == "StatefulSet/prod-loki"
    assert str(workload_ref(ComponentName.GRAFANA, "prod", spec)) == "Deployment/prod-grafana"
