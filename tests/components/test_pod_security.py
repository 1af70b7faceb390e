"""The Pod Security Standard `restricted`, checked on every pod, with what we promise beyond it."""

from typing import Any

import pytest

from tests.components.samples import ALL_DEFAULT, FULL, container_of, find, pods_of, rendered

SPECS = {"all-default": ALL_DEFAULT, "full": FULL}
_VOLUMES_ALLOWED = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def check_pod_restricted(pod: dict[str, Any]) -> None:
    """Raise AssertionError where the pod is not admitted under `restricted`."""
    assert not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"))
    assert pod["securityContext"]["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"].get("runAsUser") != 0
    for volume in pod.get("volumes", []):
        assert set(volume) - {"name"} <= _VOLUMES_ALLOWED
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["runAsNonRoot"] is True
        assert not context.get("privileged")
        assert all("hostPort" not in port for port in container.get("ports", []))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_every_pod_is_admitted_under_restricted(spec: dict[str, Any]) -> None:
    pods = pods_of(rendered(spec))
    assert len(pods) == 5
    for pod in pods:
        check_pod_restricted(pod)


def test_the_checker_itself_refuses_a_privileged_pod() -> None:
    pod = pods_of(rendered(ALL_DEFAULT))[0]
    pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(AssertionError):
        check_pod_restricted(pod)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_root_file_systems_are_read_only_and_no_pod_gets_a_token(spec: dict[str, Any]) -> None:
    manifests = rendered(spec)
    for pod in pods_of(manifests):
        assert pod["automountServiceAccountToken"] is False
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    accounts = [manifest.body for manifest in manifests if manifest.ref.kind == "ServiceAccount"]
    assert len(accounts) == 5
    assert all(account["automountServiceAccountToken"] is False for account in accounts)


@pytest.mark.parametrize(
    ("component", "uid"),
    [("prometheus", 65534), ("loki", 10001), ("tempo", 10001), ("grafana", 472), ("alertmanager", 65534)],
)
def test_pods_run_as_the_user_of_their_image_and_own_their_volume(component: str, uid: int) -> None:
    context = find(rendered(ALL_DEFAULT), "StatefulSet", f"prod-{component}")["spec"]["template"]["spec"][
        "securityContext"
    ]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (uid, uid, uid)


@pytest.mark.parametrize("component", ["prometheus", "loki", "tempo", "grafana", "alertmanager"])
def test_every_container_has_the_three_probes_on_its_first_port(component: str) -> None:
    container = container_of(rendered(ALL_DEFAULT), f"prod-{component}")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == container["ports"][0]["name"]
        assert container[probe]["httpGet"]["path"].startswith("/")


def test_prometheus_may_replay_its_log_for_fifteen_minutes_and_end_in_ten() -> None:
    body = find(rendered(ALL_DEFAULT), "StatefulSet", "prod-prometheus")["spec"]["template"]["spec"]
    probe = body["containers"][0]["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 900
    assert body["terminationGracePeriodSeconds"] == 600


def test_network_policies_let_the_platform_in_and_whom_the_spec_names_and_nobody_else() -> None:
    manifests = rendered(FULL)
    policy = find(manifests, "NetworkPolicy", "prod-loki")["spec"]
    peers = policy["ingress"][0]["from"]
    assert [peer["podSelector"]["matchLabels"] for peer in peers] == [
        {"stackledger.io/platform": "prod"},
        {"app": "shop"},
    ]
    assert len(policy["ingress"]) == 1
    assert all("namespaceSelector" not in peer for peer in peers)
    open_to_all = find(manifests, "NetworkPolicy", "prod-grafana")["spec"]["ingress"][1]
    assert open_to_all == {"ports": [{"port": "http", "protocol": "TCP"}]}


def test_without_the_setting_there_are_no_network_policies() -> None:
    assert not [manifest for manifest in rendered(ALL_DEFAULT) if manifest.ref.kind == "NetworkPolicy"]
