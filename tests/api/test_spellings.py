"""One concept, several spellings in the wild, one typed shape."""

from typing import Any

import pytest

from api.alertmanager import Alertmanager
from api.grafana import Grafana
from api.loki import Loki
from api.parsing import parse_spec
from api.prometheus import Prometheus
from api.shapes import SecretKeyRef, duration_seconds, quantity_value
from api.spec import PlatformSpec
from api.tempo import Receivers, Tempo
from tests.api.admission import refused

SLACK = SecretKeyRef(name="slack", key="url")


def accepted(spec: dict[str, Any], name: str = "prod") -> PlatformSpec:
    parsed = parse_spec(spec, name=name)
    assert parsed.findings == ()
    assert parsed.spec is not None
    assert parsed.warnings == ()
    assert refused(spec) == []
    return parsed.spec


def prometheus(**fields: Any) -> Prometheus:
    found = accepted({"components": {"prometheus": fields}}).components.prometheus
    assert found is not None
    return found


def loki(**fields: Any) -> Loki:
    found = accepted({"components": {"loki": fields}}).components.loki
    assert found is not None
    return found


def tempo(**fields: Any) -> Tempo:
    found = accepted({"components": {"tempo": fields}}).components.tempo
    assert found is not None
    return found


def grafana(**fields: Any) -> Grafana:
    found = accepted({"components": {"grafana": fields}}).components.grafana
    assert found is not None
    return found


def alertmanager(spec: dict[str, Any]) -> Alertmanager:
    found = accepted(spec).components.alertmanager
    assert found is not None
    return found


def test_one_enabled_component_alone_is_a_platform() -> None:
    spec = accepted({"components": {"prometheus": {"enabled": True}}})
    assert spec.versions == {"prometheus": "3.13.2"}
    assert spec.paused is False


def test_a_component_whose_block_is_given_is_enabled() -> None:
    assert prometheus(replicas=2).enabled is True
    assert accepted({"components": {"prometheus": {}, "loki": {"enabled": False}}}).versions.keys() == {"prometheus"}


def test_components_come_in_install_order_whatever_the_order_of_the_spec() -> None:
    names = ("alertmanager", "grafana", "tempo", "loki", "prometheus")
    spec = accepted({"components": {name: {} for name in names}})
    assert [name.value for name, _ in spec.enabled_components()] == [
        "prometheus",
        "loki",
        "tempo",
        "grafana",
        "alertmanager",
    ]


def test_a_version_has_no_leading_v_however_it_was_written() -> None:
    assert prometheus(version="v3.5.0").version == prometheus(version="3.5.0").version == "3.5.0"


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("prometheus", ("prometheus", "", "")),
        ("quay.io/prometheus/prometheus:v3.13.2", ("quay.io/prometheus/prometheus", "v3.13.2", "")),
        ("registry:5000/prometheus", ("registry:5000/prometheus", "", "")),
        ("registry:5000/a/b:1@sha256:" + "a" * 64, ("registry:5000/a/b", "1", "sha256:" + "a" * 64)),
        ({"repository": "a/b", "tag": "1"}, ("a/b", "1", "")),
        ({"digest": "sha256:" + "a" * 64}, ("", "", "sha256:" + "a" * 64)),
    ],
)
def test_an_image_is_text_or_an_object(image: Any, parts: tuple[str, str, str]) -> None:
    found = prometheus(image=image).image
    assert found is not None
    assert (found.repository, found.tag, found.digest) == parts


def test_cpu_is_text_or_a_whole_number() -> None:
    resources = prometheus(resources={"requests": {"cpu": 1}, "limits": {"cpu": "1500m"}}).resources
    assert (resources.requests.cpu, resources.limits.cpu) == ("1", "1500m")


def test_pull_secrets_are_names_or_objects_with_a_name() -> None:
    assert prometheus(imagePullSecrets=["a", {"name": "b"}]).image_pull_secrets == ("a", "b")


def test_retention_may_stand_under_storage() -> None:
    assert prometheus(storage={"size": "10Gi", "retention": "9d"}).retention == "9d"
    assert loki(storage={"size": "10Gi", "retention": "9d"}).retention == "9d"


def test_a_bucket_may_stand_under_storage() -> None:
    bucket = loki(storage={"s3": {"bucket": "logs"}}).bucket
    assert bucket is not None
    assert bucket.bucket == "logs"


@pytest.mark.parametrize("size", ["50GB", "50G", "50Gi", "50GiB"])
def test_retention_size_is_in_prometheus_units(size: str) -> None:
    assert prometheus(retentionSize=size).retention_size == "50GB"


@pytest.mark.parametrize(
    "fields",
    [
        {"scrapeInterval": "15s", "externalLabels": {"a": "b"}},
        {"config": {"scrapeInterval": "15s", "externalLabels": {"a": "b"}}},
    ],
    ids=["direct", "config-block"],
)
def test_the_scrape_interval_may_stand_in_a_config_block(fields: dict[str, Any]) -> None:
    found = prometheus(**fields)
    assert (found.scrape_interval, found.external_labels) == ("15s", {"a": "b"})


@pytest.mark.parametrize(
    "configs",
    [[{"job_name": "a", "honor_labels": True}], "- job_name: a\n  honor_labels: true\n"],
    ids=["list", "text"],
)
def test_scrape_configs_are_a_list_or_yaml_text(configs: Any) -> None:
    assert prometheus(additionalScrapeConfigs=configs).additional_scrape_configs == (
        {"job_name": "a", "honor_labels": True},
    )


def test_dates_in_yaml_text_stay_text() -> None:
    assert prometheus(additionalScrapeConfigs="- {since: 2024-01-01}").additional_scrape_configs == (
        {"since": "2024-01-01"},
    )


@pytest.mark.parametrize("configs", [[{"sourceLabels": ["a"]}], [{"source_labels": ["a"]}], "- source_labels: [a]"])
def test_relabel_configs_have_prometheus_spelling(configs: Any) -> None:
    write = prometheus(remoteWrite=[{"url": "https://a", "writeRelabelConfigs": configs}]).remote_write[0]
    assert write.write_relabel_configs == ({"source_labels": ["a"]},)


RULE = {"alert": "Down", "expr": "up == 0", "for": "5m"}


@pytest.mark.parametrize(
    "rules",
    [
        [RULE],
        [{"name": "default", "rules": [RULE]}],
        {"groups": [{"name": "default", "rules": [RULE]}]},
        {"name": "default", "rules": [RULE]},
        "groups:\n- name: default\n  rules:\n  - {alert: Down, expr: up == 0, for: 5m}\n",
    ],
    ids=["flat", "groups", "groups-object", "one-group", "text"],
)
def test_rules_are_flat_or_grouped(rules: Any) -> None:
    group = prometheus(alertingRules=rules).alerting_rules[0]
    assert group.name == "default"
    assert (group.rules[0].alert, group.rules[0].for_) == ("Down", "5m")


@pytest.mark.parametrize(
    "config",
    [
        {"route": {"receiver": "r", "group_by": ["a"]}, "receivers": [{"name": "r"}]},
        {"route": {"receiver": "r", "groupBy": ["a"]}, "receivers": [{"name": "r"}]},
        "route: {receiver: r, group_by: [a]}\nreceivers: [{name: r}]\n",
    ],
    ids=["snake", "camel", "text"],
)
def test_alertmanager_config_has_its_own_spelling(config: Any) -> None:
    found = alertmanager({"components": {"alertmanager": {"config": config}}})
    assert found.config == {"route": {"receiver": "r", "group_by": ["a"]}, "receivers": [{"name": "r"}]}


def test_label_names_in_alertmanager_config_keep_their_case() -> None:
    config = {"route": {"routes": [{"match": {"severityLevel": "high"}, "groupWait": "5s"}]}}
    found = alertmanager({"components": {"alertmanager": {"config": config}}})
    assert found.config == {"route": {"routes": [{"match": {"severityLevel": "high"}, "group_wait": "5s"}]}}


def test_alertmanager_may_stand_under_alerting() -> None:
    spec = {
        "components": {"prometheus": {}},
        "alerting": {"alertmanager": {"replicas": 2, "config": {"route": {"groupBy": ["a"]}}}, "rules": [RULE]},
    }
    found = alertmanager(spec)
    assert found.replicas == 2
    assert [rule.alert for group in accepted(spec).rule_groups for rule in group.rules] == ["Down"]


def test_alertmanager_under_alerting_alone_is_a_platform() -> None:
    assert accepted({"components": {}, "alerting": {"alertmanager": {"enabled": True}}}).versions == {
        "alertmanager": "0.34.0"
    }


def test_what_stands_under_components_wins_over_alerting() -> None:
    found = alertmanager(
        {"components": {"alertmanager": {"replicas": 3}}, "alerting": {"alertmanager": {"replicas": 2}}}
    )
    assert found.replicas == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"s3": {"bucket": "logs", "secretRef": {"name": "s"}}},
        {"s3": {"enabled": True, "bucketName": "logs", "secretRef": "s"}},
        {
            "s3": {
                "bucket": "logs",
                "accessKeyId": {"secretKeyRef": {"name": "s", "key": "accessKeyId"}},
                "secretAccessKey": {"name": "s"},
            }
        },
    ],
)
def test_a_bucket_has_one_shape(fields: dict[str, Any]) -> None:
    for bucket in (loki(**fields).bucket, tempo(**fields).bucket):
        assert bucket is not None
        assert bucket.bucket == "logs"
        assert bucket.access_key_id == SecretKeyRef(name="s", key="accessKeyId")
        assert bucket.secret_access_key == SecretKeyRef(name="s", key="secretAccessKey")


@pytest.mark.parametrize("rate", [10, "10", "10MB"])
def test_ingestion_limits_are_megabytes(rate: Any) -> None:
    assert loki(limits={"ingestionRate": rate}).limits.ingestion_rate == 10


OTLP = Receivers(otlp_grpc=True, otlp_http=True)


@pytest.mark.parametrize(
    ("receivers", "expected"),
    [
        ({"otlp": {"grpc": {}, "http": {}}}, OTLP),
        ({"otlp": {"protocols": {"grpc": None, "http": {"endpoint": "0.0.0.0:4318"}}}}, OTLP),
        ({"otlp": {"enabled": True}}, OTLP),
        ({"otlp": True}, OTLP),
        ({"otlp": {"grpc": {"enabled": True}, "http": {"enabled": False}}}, Receivers(otlp_http=False)),
        ({"otlp": {"grpc": {}}, "zipkin": {}}, Receivers(otlp_http=False, zipkin=True)),
        (
            {"jaeger": {"protocols": {"thrift_http": {}}}},
            Receivers(otlp_grpc=False, otlp_http=False, jaeger_thrift_http=True),
        ),
        ({"zipkin": {"enabled": True}}, Receivers(zipkin=True)),
        ({"otlpGrpc": True, "otlpHttp": False}, Receivers(otlp_http=False)),
    ],
)
def test_receivers_are_nested_either_way(receivers: Any, expected: Receivers) -> None:
    assert tempo(receivers=receivers).receivers == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"adminPassword": {"secretKeyRef": {"name": "slack", "key": "url"}}},
        {"adminPassword": {"secretRef": {"name": "slack", "key": "url"}}},
        {"adminPassword": {"valueFrom": {"secretKeyRef": {"name": "slack", "key": "url"}}}},
        {"adminPassword": {"name": "slack", "key": "url"}},
        {"adminPasswordSecret": {"name": "slack", "key": "url"}},
    ],
)
def test_a_secret_reference_has_one_shape(fields: dict[str, Any]) -> None:
    assert grafana(**fields).admin_password == SLACK


def test_an_inline_password_becomes_a_reference_to_the_platforms_own_secret() -> None:
    assert grafana(adminPassword="hunter2").admin_password == SecretKeyRef(
        name="prod-inline", key="components.grafana.adminPassword"
    )


def test_the_secret_of_a_database_may_be_named_by_its_name_alone() -> None:
    found = grafana(database={"host": "db", "passwordSecret": "grafana-db"}).database
    assert found is not None
    assert found.password == SecretKeyRef(name="grafana-db", key="password")


@pytest.mark.parametrize("field", ["datasources", "dataSources"])
def test_data_sources_are_spelled_either_way(field: str) -> None:
    assert grafana(**{field: [{"name": "x", "type": "prometheus"}]}).data_sources[0].name == "x"


@pytest.mark.parametrize(
    "dashboards",
    [
        [{"name": "nodes", "configMap": "boards"}],
        [{"name": "nodes", "configMap": {"name": "boards"}}],
        {"nodes": {"configMap": "boards"}},
    ],
)
def test_dashboards_are_a_list_or_an_object(dashboards: Any) -> None:
    found = grafana(dashboards=dashboards).dashboards[0]
    assert (found.name, found.config_map, found.key) == ("nodes", "boards", "dashboard.json")


@pytest.mark.parametrize("plugins", [["a-panel"], [{"name": "a-panel"}], {"a-panel": True}, {"install": ["a-panel"]}])
def test_plugins_are_a_list_or_an_object(plugins: Any) -> None:
    assert grafana(plugins=plugins).plugins == ("a-panel",)


def test_persistence_is_another_word_for_storage() -> None:
    found = grafana(persistence={"enabled": True, "size": "5Gi"}).storage
    assert found is not None
    assert found.size == "5Gi"
    assert grafana(persistence={"enabled": False}).storage is None


@pytest.mark.parametrize("tls", [{"secretName": "cert"}, [{"secretName": "cert", "hosts": ["g"]}]])
def test_tls_of_an_ingress_has_one_shape(tls: Any) -> None:
    found = grafana(ingress={"host": "g", "tls": tls}).ingress
    assert found is not None
    assert found.tls is not None
    assert (found.tls.enabled, found.tls.secret_name) == (True, "cert")


def test_other_spellings_of_an_ingress_are_accepted() -> None:
    found = grafana(ingress={"host": "g", "ingressClassName": "nginx", "tlsSecret": "cert"}).ingress
    assert found is not None
    assert found.tls is not None
    assert (found.class_name, found.tls.secret_name) == ("nginx", "cert")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("soft", ("soft", "kubernetes.io/hostname")),
        ("required", ("hard", "kubernetes.io/hostname")),
        ("preferredDuringSchedulingIgnoredDuringExecution", ("soft", "kubernetes.io/hostname")),
        ({"type": "hard", "topologyKey": "zone"}, ("hard", "zone")),
        ({"mode": "Required"}, ("hard", "kubernetes.io/hostname")),
    ],
)
def test_anti_affinity_is_a_word_or_an_object(written: Any, expected: tuple[str, str]) -> None:
    spec = accepted({"components": {"prometheus": {}}, "highAvailability": {"antiAffinity": written}})
    found = spec.high_availability.anti_affinity
    assert (found.type, found.topology_key) == expected


@pytest.mark.parametrize("written", [True, {"enabled": True}, {}])
def test_a_network_policy_is_a_flag_or_an_object(written: Any) -> None:
    spec = accepted({"components": {"prometheus": {}}, "security": {"networkPolicy": written}})
    assert spec.security.network_policy.enabled is True


@pytest.mark.parametrize(
    "backup", [{"retentionDays": 14}, {"retention": 14}, {"retention": "14d"}, {"retention": "2w"}], ids=str
)
def test_backup_retention_is_days_however_it_was_written(backup: dict[str, Any]) -> None:
    assert accepted({"components": {"prometheus": {}}, "backup": backup}).backup.retention_days == 14


def test_components_inherit_what_they_do_not_set() -> None:
    spec = accepted(
        {
            "global": {
                "logLevel": "debug",
                "nodeSelector": {"a": "b"},
                "storageClass": "fast",
                "externalLabels": {"cluster": "x", "env": "y"},
                "retentionPolicies": {"metrics": "9d", "logs": "8d"},
            },
            "highAvailability": {"enabled": True, "minReplicas": 3},
            "components": {
                "prometheus": {"externalLabels": {"env": "z"}},
                "loki": {"retention": "1d", "logLevel": "warn", "nodeSelector": {}},
            },
        }
    )
    ours, theirs = spec.components.prometheus, spec.components.loki
    assert ours is not None
    assert theirs is not None
    assert (ours.log_level, ours.node_selector, ours.retention, ours.replicas) == ("debug", {"a": "b"}, "9d", 3)
    assert ours.external_labels == {"cluster": "x", "env": "z"}
    assert ours.storage.storage_class_name == "fast"
    # Loki on a volume cannot have more replicas, and what it sets itself stays.
    assert (theirs.log_level, theirs.node_selector, theirs.retention, theirs.replicas) == ("warn", {}, "1d", 1)


def test_pinned_versions_are_used_where_the_spec_names_none() -> None:
    parsed = parse_spec(
        {"components": {"prometheus": {}, "loki": {"version": "3.7.6"}}},
        pinned={"prometheus": "3.5.0", "loki": "3.4.0", "tempo": "2.9.0"},
    )
    assert parsed.spec is not None
    assert parsed.spec.versions == {"prometheus": "3.5.0", "loki": "3.7.6"}


def test_a_spec_is_frozen() -> None:
    spec = accepted({"components": {"prometheus": {}}})
    with pytest.raises(ValueError, match="frozen"):
        spec.paused = True


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("1h30m", 5400), ("15d", 1_296_000), ("500ms", 0.5)])
def test_a_duration_has_a_length(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize(("text", "value"), [("250m", 0.25), ("2", 2), ("1Gi", 2**30), ("1.5G", 1.5e9)])
def test_a_quantity_has_a_value(text: str, value: float) -> None:
    assert quantity_value(text) == value
