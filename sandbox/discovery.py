"""What is served, in the forms kubectl and the clients ask for it."""

from typing import Any

from sandbox.kinds import Kind, Registry
from sandbox.values import Object

VERSION: Object = {
    "major": "1",
    "minor": "37",
    "emulationMajor": "1",
    "emulationMinor": "37",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "36",
    "gitVersion": "v1.37.2+sandbox",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "python",
    "compiler": "python",
    "platform": "linux/amd64",
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_SCALE = {"group": "autoscaling", "version": "v1", "kind": "Scale"}


def api_versions(host: str) -> Object:
    """`/api`, for a client that reached the server under this name."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def group_list(registry: Registry) -> Object:
    """`/apis`."""
    parts = ("name", "versions", "preferredVersion")
    groups = [{key: group(registry, name)[key] for key in parts} for name in registry.groups() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Object:
    """`/apis/apps`."""
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in registry.groups()[name]]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": name,
        "versions": versions,
        "preferredVersion": versions[0],
    }


def resource_list(registry: Registry, group_name: str, version: str) -> Object:
    """`/api/v1`, `/apis/apps/v1`."""
    resources: list[Object] = []
    for kind in _kinds(registry, group_name, version):
        resources.append(
            {
                "name": kind.plural,
                "singularName": kind.singular,
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": list(kind.verbs),
                **({"shortNames": list(kind.short_names)} if kind.short_names else {}),
                **({"categories": list(kind.categories)} if kind.categories else {}),
            }
        )
        for name in kind.subresources:
            scale = {**_SCALE} if name == "scale" else {"kind": kind.kind}
            resources.append(
                {
                    "name": f"{kind.plural}/{name}",
                    "singularName": "",
                    "namespaced": kind.namespaced,
                    "verbs": list(kind.subresource_verbs(name)),
                    **scale,
                }
            )
    group_version = f"{group_name}/{version}" if group_name else version
    head = {"kind": "APIResourceList", **({"apiVersion": "v1"} if group_name else {})}
    return {**head, "groupVersion": group_version, "resources": resources}


def aggregated(registry: Registry, *, core: bool) -> Object:
    """`/api` or `/apis` in one answer, which is what kubectl asks first."""
    groups = {name: versions for name, versions in registry.groups().items() if bool(name) is not core}
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [
                {
                    "version": version,
                    "freshness": "Current",
                    "resources": [_aggregated_kind(kind, version) for kind in _kinds(registry, name, version)],
                }
                for version in versions
            ],
        }
        for name, versions in groups.items()
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated_kind(kind: Kind, version: str) -> Object:
    response = {"group": kind.group, "version": version, "kind": kind.kind}
    found: dict[str, Any] = {
        "resource": kind.plural,
        "responseKind": response,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        found["shortNames"] = list(kind.short_names)
    if kind.categories:
        found["categories"] = list(kind.categories)
    if kind.subresources:
        found["subresources"] = [
            {
                "subresource": name,
                "responseKind": dict(_SCALE) if name == "scale" else response,
                "verbs": list(kind.subresource_verbs(name)),
            }
            for name in kind.subresources
        ]
    return found


def _kinds(registry: Registry, group_name: str, version: str) -> list[Kind]:
    return [
        kind
        for kind in registry.all()
        if kind.group == group_name and any(served.name == version for served in kind.versions)
    ]
