"""Every object is what the Kubernetes API accepts, for the oldest and the newest minor version we validate against."""

import re
from typing import Any

import kubernetes_validate
import pytest

from tests.components.samples import ALL_DEFAULT, FULL, MINIMAL, find, pods_of, rendered

SPECS = {"minimal": MINIMAL, "all-default": ALL_DEFAULT, "full": FULL}
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
#: A namespaced platform makes nothing else, and nothing outside its namespace.
_KINDS = {
    "ConfigMap",
    "Deployment",
    "Ingress",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Secret",
    "Service",
    "ServiceAccount",
    "StatefulSet",
}


@pytest.mark.parametrize("version", ["1.33", "1.37"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_every_object_is_strictly_valid(spec: dict[str, Any], version: str) -> None:
    for manifest in rendered(spec):
        kubernetes_validate.validate(manifest.body, version, strict=True)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_only_known_namespaced_kinds_without_namespace_or_owner(spec: dict[str, Any]) -> None:
    for manifest in rendered(spec):
        assert manifest.ref.kind in _KINDS
        assert set(manifest.body["metadata"]) <= {"name", "labels", "annotations"}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_names_are_ones_that_the_api_accepts_and_no_two_objects_share_one(spec: dict[str, Any]) -> None:
    manifests = rendered(spec, name="p" * 39)
    assert len({manifest.ref for manifest in manifests}) == len(manifests)
    for manifest in manifests:
        pattern = _DNS_1035 if manifest.ref.kind == "Service" else _DNS_1123
        assert pattern.fullmatch(manifest.ref.name), manifest.ref
        if manifest.ref.kind == "StatefulSet":
            assert len(manifest.ref.name) <= 52


def test_names_of_ports_volumes_and_variables_are_unique_within_a_pod() -> None:
    for pod in pods_of(rendered(FULL)):
        container = pod["containers"][0]
        for entries in (container["ports"], pod["volumes"], container.get("env", [])):
            names = [entry["name"] for entry in entries]
            assert len(set(names)) == len(names)
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert len(set(paths)) == len(paths)
        assert all(len(port["name"]) <= 15 for port in container["ports"])


def test_every_mount_has_a_volume_and_every_volume_is_mounted() -> None:
    for manifest in rendered(FULL):
        if manifest.ref.kind not in ("StatefulSet", "Deployment"):
            continue
        spec = manifest.body["spec"]
        claims = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
        pod = spec["template"]["spec"]
        volumes = claims | {volume["name"] for volume in pod.get("volumes", [])}
        assert volumes == {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}


def test_selectors_are_minimal_and_match_the_pods() -> None:
    for manifest in rendered(FULL):
        if manifest.ref.kind in ("StatefulSet", "Deployment"):
            selector = manifest.body["spec"]["selector"]["matchLabels"]
            assert set(selector) == {"app.kubernetes.io/name", "app.kubernetes.io/instance"}
            assert selector.items() <= manifest.body["spec"]["template"]["metadata"]["labels"].items()


def test_an_upgrade_changes_nothing_that_a_stateful_set_cannot_change() -> None:
    def immutable(version: str) -> tuple[Any, ...]:
        spec = {"components": {"prometheus": {"version": version}}}
        body = find(rendered(spec), "StatefulSet", "prod-prometheus")["spec"]
        return body["selector"], body["serviceName"], body["volumeClaimTemplates"], body["podManagementPolicy"]

    assert immutable("3.12.0") == immutable("3.13.2")


def test_labels_say_whose_object_it_is_and_what_it_is_part_of() -> None:
    for manifest in rendered(FULL):
        labels = manifest.body["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "stackledger"
        assert labels["app.kubernetes.io/instance"] == labels["stackledger.io/platform"] == "prod"
        assert labels.get("stackledger.io/component") == manifest.component
