"""The components know each other: data sources, scrape jobs, alerting, remote write, and every name exists."""

import re
from typing import Any

import pytest

from api.references import references
from components.assembly import pod_references
from components.context import RenderContext
from components.manifest import Manifest
from components.registry import render
from tests.components.samples import ALL_DEFAULT, FULL, container_of, context_of, file_of, find, pods_of, rendered

_INTERNAL_URL = re.compile(r"https?://((?:[a-z0-9-]+\.)?prod-[a-z0-9-]+)(?::(\d+))?")
ALL = ("prometheus", "loki", "tempo", "grafana", "alertmanager")


def _datasources(manifests: tuple[Manifest, ...]) -> dict[str, Any]:
    found = file_of(manifests, "prod-grafana-config", "datasources.yaml")["datasources"]
    return {source["uid"]: source for source in found}


def test_grafana_has_a_data_source_with_a_fixed_uid_for_every_component() -> None:
    sources = _datasources(rendered(ALL_DEFAULT))
    assert sorted(sources) == ["alertmanager", "loki", "prometheus", "tempo"]
    assert [uid for uid, source in sources.items() if source["isDefault"]] == ["prometheus"]
    assert sources["loki"]["url"] == "http://prod-loki:3100"


def test_metrics_logs_and_traces_link_to_each_other() -> None:
    sources = _datasources(rendered(ALL_DEFAULT))
    assert sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"][0]["datasourceUid"] == "tempo"
    assert sources["loki"]["jsonData"]["derivedFields"][0]["datasourceUid"] == "tempo"
    assert sources["tempo"]["jsonData"]["tracesToLogsV2"]["datasourceUid"] == "loki"
    assert sources["tempo"]["jsonData"]["serviceMap"]["datasourceUid"] == "prometheus"


@pytest.mark.parametrize("absent", ["prometheus", "loki", "tempo", "alertmanager"])
def test_a_component_that_does_not_run_is_mentioned_nowhere(absent: str) -> None:
    spec = {"components": {name: {"enabled": name != absent} for name in ALL}}
    for manifest in rendered(spec):
        assert f"prod-{absent}" not in str(manifest.body)
        assert f"'datasourceUid': '{absent}'" not in str(manifest.body)
        assert f"datasourceUid: {absent}" not in str(manifest.body)


def test_every_uid_is_one_that_grafana_accepts() -> None:
    for uid in _datasources(rendered(FULL)):
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", uid)


def test_prometheus_scrapes_itself_and_every_other_component() -> None:
    jobs = file_of(rendered(ALL_DEFAULT), "prod-prometheus-config", "prometheus.yml")["scrape_configs"]
    assert [job["job_name"] for job in jobs] == [
        f"prod-{n}" for n in ("prometheus", "loki", "tempo", "grafana", "alertmanager")
    ]
    ports = {job["job_name"]: job["dns_sd_configs"][0]["port"] for job in jobs[1:]}
    assert ports == {"prod-loki": 3100, "prod-tempo": 3200, "prod-grafana": 3000, "prod-alertmanager": 9093}


def test_prometheus_and_the_ruler_of_loki_send_alerts_to_every_alertmanager() -> None:
    manifests = rendered(FULL)
    prometheus = file_of(manifests, "prod-prometheus-config", "prometheus.yml")
    names = prometheus["alerting"]["alertmanagers"][0]["dns_sd_configs"][0]["names"]
    assert names == ["prod-alertmanager-headless"]
    ruler = file_of(manifests, "prod-loki-config", "loki.yaml")["ruler"]
    assert len(ruler["alertmanager_url"].split(",")) == 3


def test_tempo_sends_span_metrics_to_every_prometheus_and_prometheus_accepts_them() -> None:
    manifests = rendered(FULL)
    generator = file_of(manifests, "prod-tempo-config", "tempo.yaml")["metrics_generator"]
    urls = [entry["url"] for entry in generator["storage"]["remote_write"]]
    assert urls == [f"http://prod-prometheus-{n}.prod-prometheus-headless:9090/api/v1/write" for n in (0, 1)]
    assert "--web.enable-remote-write-receiver" in container_of(manifests, "prod-prometheus")["args"]


def test_prometheus_accepts_no_pushed_samples_when_nobody_needs_to_push() -> None:
    manifests = rendered({"components": {"prometheus": {}, "tempo": {"metricsGenerator": False}}})
    assert "--web.enable-remote-write-receiver" not in container_of(manifests, "prod-prometheus")["args"]
    assert "metrics_generator" not in file_of(manifests, "prod-tempo-config", "tempo.yaml")


def test_alertmanagers_gossip_only_when_there_is_more_than_one() -> None:
    many = container_of(rendered(FULL), "prod-alertmanager")["args"]
    assert [arg for arg in many if arg.startswith("--cluster.peer=")] == [
        f"--cluster.peer=prod-alertmanager-{n}.prod-alertmanager-headless:9094" for n in (0, 1, 2)
    ]
    assert "--cluster.listen-address=[$(POD_IP)]:9094" in many
    one = container_of(rendered(ALL_DEFAULT), "prod-alertmanager")["args"]
    assert "--cluster.listen-address=" in one
    assert not [arg for arg in one if arg.startswith("--cluster.peer=")]


def _known(context: RenderContext, manifests: tuple[Manifest, ...]) -> set[tuple[str, str]]:
    own = {(manifest.ref.kind, manifest.ref.name) for manifest in manifests}
    return own | {(reference.kind, reference.name) for reference in references(context.spec)}


@pytest.mark.parametrize("spec", [ALL_DEFAULT, FULL], ids=["all-default", "full"])
def test_every_object_that_is_referred_to_exists_here_or_in_the_spec(spec: dict[str, Any]) -> None:
    context = context_of(spec)
    manifests = render(context)
    known = _known(context, manifests)
    for pod in pods_of(manifests):
        assert {(kind, name) for kind, name, _ in pod_references(pod)} <= known
        assert ("ServiceAccount", pod["serviceAccountName"]) in known
    for manifest in manifests:
        if manifest.ref.kind == "StatefulSet":
            assert ("Service", manifest.body["spec"]["serviceName"]) in known
        if manifest.ref.kind == "Ingress":
            backend = manifest.body["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
            assert ("Service", backend["name"]) in known


@pytest.mark.parametrize("spec", [ALL_DEFAULT, FULL], ids=["all-default", "full"])
def test_every_url_in_a_configuration_meets_a_service_with_that_port(spec: dict[str, Any]) -> None:
    manifests = rendered(spec)
    services = {m.ref.name: {p["port"] for p in m.body["spec"]["ports"]} for m in manifests if m.ref.kind == "Service"}
    texts = [text for m in manifests if m.ref.kind == "ConfigMap" for text in m.body["data"].values()]
    met = [(host.rpartition(".")[2], int(port)) for text in texts for host, port in _INTERNAL_URL.findall(text)]
    assert len(met) > 5
    for host, port in met:
        assert port in services[host], (host, port)


def test_a_file_named_in_a_configuration_is_mounted() -> None:
    for manifest in rendered(FULL):
        if manifest.ref.kind not in ("StatefulSet", "Deployment"):
            continue
        pod = manifest.body["spec"]["template"]["spec"]
        items = {
            item["path"]
            for volume in pod["volumes"]
            for source in volume.get("projected", {}).get("sources", [])
            for item in source["secret"]["items"]
        }
        component = manifest.ref.name
        texts = [
            m.body["data"] for m in rendered(FULL) if m.ref.kind == "ConfigMap" and m.ref.name.startswith(component)
        ]
        wanted = {
            path
            for data in texts
            for text in data.values()
            for path in re.findall(r"/etc/stackledger/secrets/([^\s}\"']+)", text)
        }
        assert wanted == items, component


def test_the_volumes_stay_or_go_with_the_platform_as_the_spec_says() -> None:
    kept = find(rendered(ALL_DEFAULT), "StatefulSet", "prod-loki")["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert kept == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    gone = find(rendered(FULL), "StatefulSet", "prod-loki")["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert gone == {"whenDeleted": "Delete", "whenScaled": "Retain"}


def test_grafana_without_a_volume_is_a_deployment_that_ends_before_it_starts_anew() -> None:
    spec = {"components": {"grafana": {"persistence": {"enabled": False}}}}
    body = find(rendered(spec), "Deployment", "prod-grafana")["spec"]
    assert body["strategy"] == {"type": "Recreate"}
    assert {"name": "data", "emptyDir": {}} in body["template"]["spec"]["volumes"]


def test_replicas_keep_apart_as_the_spec_says_and_are_not_all_evicted_at_once() -> None:
    manifests = rendered(FULL)
    pod = find(manifests, "StatefulSet", "prod-alertmanager")["spec"]["template"]["spec"]
    assert "requiredDuringSchedulingIgnoredDuringExecution" in pod["affinity"]["podAntiAffinity"]
    assert find(manifests, "PodDisruptionBudget", "prod-alertmanager")["spec"]["maxUnavailable"] == 1
    assert not [manifest for manifest in rendered(ALL_DEFAULT) if manifest.ref.kind == "PodDisruptionBudget"]


def test_images_come_from_the_registry_that_the_spec_names() -> None:
    images = {pod["containers"][0]["image"] for pod in pods_of(rendered(FULL))}
    assert images == {
        "registry.example.com:5000/prometheus/prometheus:v3.13.2",
        "registry.example.com:5000/grafana/loki:3.7.6",
        "registry.example.com:5000/grafana/tempo:2.10.8",
        "registry.example.com:5000/grafana/grafana:13.2.2",
        "registry.example.com:5000/prometheus/alertmanager:v0.34.0",
    }
