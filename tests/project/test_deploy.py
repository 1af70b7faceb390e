"""What `kubectl apply -k deploy/...` sends is valid, locked down, and asks for no more than it needs."""

import re
from base64 import b64decode
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import typer
import yaml

from cli.main import app
from reconciler.settings import HMAC_KEY_BYTES_MIN, load
from reconciler.shell import resources
from reconciler.shell.cluster import Resource
from tests.project.kustomize import KubernetesObject, of_kind, pod_templates
from tests.project.tidy import ROOT

KUBERNETES_VERSIONS = ["1.30", "1.34", "1.37"]
WRITES = {"create", "update", "patch", "delete"}


def rules(objects: list[KubernetesObject]) -> list[dict[str, Any]]:
    return [rule for role in (*of_kind(objects, "ClusterRole"), *of_kind(objects, "Role")) for rule in role["rules"]]


def named(resource: Resource) -> tuple[str, str]:
    """(API group, plural) as RBAC writes them; the core group is empty."""
    return resource.api_version.rpartition("/")[0], resource.plural


def verbs_on(objects: list[KubernetesObject], resource: str) -> set[str]:
    return {verb for rule in rules(objects) if resource in rule["resources"] for verb in rule["verbs"]}


@pytest.fixture(params=["base", "kind_overlay"])
def objects(request: pytest.FixtureRequest) -> list[KubernetesObject]:
    """Each kustomization in turn."""
    rendered: list[KubernetesObject] = request.getfixturevalue(request.param)
    return rendered


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_every_object_is_valid_for_the_kubernetes_schemas(objects: list[KubernetesObject], version: str) -> None:
    for item in objects:
        if item["kind"] != "CustomResourceDefinition":  # its own suite walks it; the published schema is not structural
            kubernetes_validate.validate(item, version, strict=True)


def test_the_base_brings_what_an_operator_needs(base: list[KubernetesObject]) -> None:
    assert sorted(f"{item['kind']}/{item['metadata']['name']}" for item in base) == [
        "ClusterRole/stackledger",
        "ClusterRoleBinding/stackledger",
        "CustomResourceDefinition/observabilityplatforms.observability.io",
        "Deployment/stackledger",
        "Job/stackledger-migrate",
        "Namespace/stackledger-system",
        "NetworkPolicy/default-deny",
        "NetworkPolicy/stackledger",
        "NetworkPolicy/stackledger-migrate",
        "PodDisruptionBudget/stackledger",
        "Service/stackledger-metrics",
        "ServiceAccount/stackledger",
        "ServiceAccount/stackledger-migrate",
    ]


def test_the_base_holds_no_secret(base: list[KubernetesObject]) -> None:
    assert of_kind(base, "Secret") == []


def test_the_role_grants_the_calls_the_code_makes_and_no_other(base: list[KubernetesObject]) -> None:
    watched = {entry.resource for entry in resources.WATCHED}
    only_looked_at = {resources.POD, resources.RESOURCE_QUOTA}
    children = watched - only_looked_at - {resources.PLATFORM}
    expected = {named(resource): {"list", "watch"} for resource in only_looked_at}
    expected |= {named(resource): {"get", "list", "watch", "create", "patch", "delete"} for resource in children}
    expected[named(resources.SECRET)] = {"get", "create", "patch", "delete"}
    expected[named(resources.EVENT)] = {"create"}
    group, plural = named(resources.PLATFORM)
    expected[group, plural] = {"get", "list", "watch", "patch"}
    expected[group, f"{plural}/status"] = {"patch"}
    granted = {
        (group, resource): set(rule["verbs"])
        for rule in rules(base)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert granted == expected


def test_no_rule_has_a_wildcard(objects: list[KubernetesObject]) -> None:
    assert [rule for rule in rules(objects) if "*" in str(rule)] == []


def test_no_rule_lets_the_operator_gain_power_or_delete_by_the_collection(objects: list[KubernetesObject]) -> None:
    verbs = {verb for rule in rules(objects) for verb in rule["verbs"]}
    assert verbs <= {"get", "list", "watch", "create", "update", "patch", "delete"}
    groups = {group for rule in rules(objects) for group in rule["apiGroups"]}
    assert "rbac.authorization.k8s.io" not in groups


def test_secrets_are_read_by_name_and_never_listed(objects: list[KubernetesObject]) -> None:
    assert verbs_on(objects, "secrets") == {"get", "create", "patch", "delete"}


@pytest.mark.parametrize(
    "resource", ["namespaces", "nodes", "pods/exec", "serviceaccounts/token", "customresourcedefinitions"]
)
def test_what_is_none_of_its_business_is_not_granted(base: list[KubernetesObject], resource: str) -> None:
    assert verbs_on(base, resource) == set()


def test_pods_and_quotas_are_only_looked_at(base: list[KubernetesObject]) -> None:
    assert verbs_on(base, "pods") | verbs_on(base, "resourcequotas") <= {"get", "list", "watch"}


def test_the_platform_itself_is_never_deleted_or_created(base: list[KubernetesObject]) -> None:
    assert verbs_on(base, "observabilityplatforms") & WRITES == {"patch"}
    assert verbs_on(base, "observabilityplatforms/status") == {"patch"}


def test_only_the_operator_gets_a_token(objects: list[KubernetesObject]) -> None:
    mounted = {name for name, pod in pod_templates(objects).items() if pod["automountServiceAccountToken"]}
    assert mounted == {"Deployment/stackledger"}
    assert all(account["automountServiceAccountToken"] is False for account in of_kind(objects, "ServiceAccount"))
    bound = [subject["name"] for binding in of_kind(objects, "ClusterRoleBinding") for subject in binding["subjects"]]
    assert bound == ["stackledger"]


def test_every_pod_meets_the_restricted_standard(objects: list[KubernetesObject]) -> None:
    for name, pod in pod_templates(objects).items():
        assert {"hostNetwork", "hostPID", "hostIPC"} & set(pod) == set(), name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} <= {"secret", "emptyDir"}, name
        for container in (*pod["containers"], *pod.get("initContainers", [])):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert security["readOnlyRootFilesystem"] is True, name


def test_the_namespace_refuses_pods_that_are_not_restricted(base: list[KubernetesObject]) -> None:
    (namespace,) = of_kind(base, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_container_asks_for_what_it_needs_and_has_a_memory_limit(objects: list[KubernetesObject]) -> None:
    for name, pod in pod_templates(objects).items():
        for container in pod["containers"]:
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name


def test_the_operator_never_sees_the_url_of_the_owner_of_the_tables(base: list[KubernetesObject]) -> None:
    pods = pod_templates(base)

    def keys(pod: KubernetesObject) -> set[str]:
        (volume,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
        assert volume["secretName"] == "stackledger-database"
        return {item["key"] for item in volume["items"]}

    assert keys(pods["Deployment/stackledger"]) == {"uri", "hmac-key"}
    assert keys(pods["Job/stackledger-migrate"]) == {"owner-uri"}


def test_the_example_secret_has_every_key_that_is_mounted() -> None:
    example = yaml.safe_load((ROOT / "deploy/examples/database-secret.yaml").read_text())
    assert set(example["stringData"]) == {"uri", "owner-uri", "hmac-key"}
    assert all("CHANGE-ME" in value for value in example["stringData"].values())
    kubernetes_validate.validate(example, "1.37", strict=True)


def test_a_selector_finds_the_pods_it_is_for(base: list[KubernetesObject]) -> None:
    (deployment,) = of_kind(base, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    (service,) = of_kind(base, "Service")
    (budget,) = of_kind(base, "PodDisruptionBudget")
    (policy,) = [item for item in of_kind(base, "NetworkPolicy") if item["metadata"]["name"] == "stackledger"]
    for selector in (
        service["spec"]["selector"],
        budget["spec"]["selector"]["matchLabels"],
        policy["spec"]["podSelector"]["matchLabels"],
        deployment["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels


def test_traffic_that_no_policy_names_is_refused(objects: list[KubernetesObject]) -> None:
    (deny,) = [item for item in of_kind(objects, "NetworkPolicy") if item["metadata"]["name"] == "default-deny"]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_the_probes_ask_the_health_port(base: list[KubernetesObject]) -> None:
    (container,) = pod_templates(base)["Deployment/stackledger"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"]["path"] == path
        assert container[probe]["httpGet"]["port"] in ports


def test_a_password_stands_only_in_the_overlay_that_says_dev_only(kind_overlay: list[KubernetesObject]) -> None:
    assert {secret["metadata"]["name"] for secret in of_kind(kind_overlay, "Secret")} == {
        "stackledger-database",
        "stackledger-postgres",
    }
    for path in (ROOT / "deploy/kind").iterdir():
        assert path.read_text().startswith("# DEV ONLY"), path.name


def test_no_manifest_names_a_registry() -> None:
    images = [
        image
        for path in (ROOT / "deploy").rglob("*.yaml")
        for image in re.findall(r"^\s*(?:- )?image: (\S+)", path.read_text(), re.MULTILINE)
    ]
    assert sorted(set(images)) == ["postgres:18", "stackledger"]


# -- what the manifests say to the program ---------------------------------------------------------------------------


def test_the_operator_understands_its_environment(base: list[KubernetesObject]) -> None:
    pod = pod_templates(base)["Deployment/stackledger"]
    (container,) = pod["containers"]
    settings = load({}, {variable["name"]: variable["value"] for variable in container["env"]})
    mounted = {
        f"{mount['mountPath']}/{item['path']}"
        for mount in container["volumeMounts"]
        for volume in pod["volumes"]
        if volume["name"] == mount["name"] and "secret" in volume
        for item in volume["secret"]["items"]
    }
    assert {str(settings.dsn_file), str(settings.hmac_key_file)} == mounted
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert settings.metrics_bind == f":{ports['metrics']}"
    assert settings.health_bind == f":{ports['health']}"
    assert settings.shutdown_seconds < pod["terminationGracePeriodSeconds"]


def test_every_container_of_ours_is_given_a_command_that_exists(objects: list[KubernetesObject]) -> None:
    for name, pod in pod_templates(objects).items():
        for container in pod["containers"]:
            if container["image"].startswith("stackledger"):
                command, words = typer.main.get_command(app), list(container["args"])
                while words and words[0] in getattr(command, "commands", {}):
                    command = command.commands[words.pop(0)]  # type: ignore[attr-defined]  # checked the line before
                options = {option for parameter in command.params for option in parameter.opts}
                assert {word for word in words if word.startswith("--")} <= options, name
                assert not hasattr(command, "commands"), f"{name}: {container['args']} names no command"


def test_the_migration_gives_rights_to_the_role_that_the_operator_logs_in_as(base: list[KubernetesObject]) -> None:
    (container,) = pod_templates(base)["Job/stackledger-migrate"]["containers"]
    role = container["args"][container["args"].index("--app-role") + 1]
    example = yaml.safe_load((ROOT / "deploy/examples/database-secret.yaml").read_text())["stringData"]
    assert urlsplit(example["uri"]).username == role
    assert urlsplit(example["owner-uri"]).username not in {role, None}


def test_the_dev_overlay_does_not_take_rights_from_the_one_role_it_has(kind_overlay: list[KubernetesObject]) -> None:
    (container,) = pod_templates(kind_overlay)["Job/stackledger-migrate"]["containers"]
    assert "--app-role" not in container["args"]
    (secret,) = [item for item in of_kind(kind_overlay, "Secret") if item["metadata"]["name"] == "stackledger-database"]
    urls = {key: b64decode(value).decode() for key, value in secret["data"].items()}
    assert urls["uri"] == urls["owner-uri"]
    assert len(urls["hmac-key"]) >= HMAC_KEY_BYTES_MIN
