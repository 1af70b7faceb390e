"""What a server fills in when a built-in object is created, and who owns it."""

import copy
from typing import Any

import pytest

from tests.contract.bodies import claim, config_map, deployment, quota, secret, service, stateful_set, with_metadata
from tests.contract.server import STRATEGIC, Object, Server

PROBE = {"httpGet": {"port": 80}, "periodSeconds": 5}
SELECTOR = {"matchLabels": {"a": "b"}}
CONTAINER: Object = {
    "ports": [{"containerPort": 80, "name": "http"}],
    "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    "resources": {"requests": {"cpu": "1m"}, "limits": {"memory": "1Gi"}},
    "readinessProbe": PROBE,
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    "args": ["a"],
    "securityContext": {"runAsNonRoot": True},
}
POD: Object = {
    "volumes": [{"name": "v", "configMap": {"name": "c"}}, {"name": "s", "secret": {"secretName": "x"}}],
    "serviceAccountName": "someone",
    "securityContext": {"fsGroup": 1},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": SELECTOR}
    ],
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "k", "labelSelector": SELECTOR}}
            ]
        }
    },
}
CLAIMS = [
    {
        "metadata": {"name": "d"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
]


def of_kind(api_version: str, kind: str, **spec: Any) -> Object:
    """An object called web."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "web"}, "spec": spec}


def bodies() -> dict[str, Object]:
    """Name -> an object that leaves out what can be left out."""
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    full: Any = {"container": CONTAINER, "pod": POD}
    return {
        "config-map": with_metadata(config_map(), labels={"a": "b"}, annotations={"c": "d"}),
        "secret": secret(stringData={"a": "x"}),
        "service": service(),
        "headless": service(clusterIP="None"),
        "external": service(type="ExternalName", externalName="a.example.com", ports=None, selector=None),
        "claim": claim(),
        "deployment": deployment(**copy.deepcopy(full)),
        "recreated": deployment(strategy={"type": "Recreate"}),
        "rolled": deployment(strategy={"rollingUpdate": {"maxSurge": 1}}),
        "stateful-set": stateful_set(volumeClaimTemplates=CLAIMS, **copy.deepcopy(full)),
        "partitioned": stateful_set(updateStrategy={"rollingUpdate": {"partition": 1}}),
        "typed": stateful_set(updateStrategy={"type": "RollingUpdate"}),
        "ingress": of_kind(
            "networking.k8s.io/v1", "Ingress", rules=[{"host": "a.example.com", "http": {"paths": paths}}]
        ),
        "policy": of_kind(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            podSelector={},
            ingress=[{"from": [{"podSelector": {}}], "ports": [{"port": 80}]}],
        ),
        "egress": of_kind("networking.k8s.io/v1", "NetworkPolicy", podSelector={}, egress=[{}]),
        "budget": of_kind("policy/v1", "PodDisruptionBudget", selector=SELECTOR, maxUnavailable=1),
        "quota": quota(pods="1"),
        "account": {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}},
        "lease": of_kind("coordination.k8s.io/v1", "Lease", holderIdentity="a"),
    }


def masked(item: Object, manager: str) -> Object:
    """The object without what differs from server to server, with the entry of one manager."""
    meta = {
        key: value
        for key, value in item["metadata"].items()
        if key not in ("uid", "resourceVersion", "creationTimestamp", "namespace")
    }
    meta["managedFields"] = [
        {key: value for key, value in entry.items() if key != "time"}
        for entry in meta.get("managedFields", [])
        if entry["manager"] == manager
    ]
    annotations = meta.get("annotations", {})
    meta["annotations"] = {key: value for key, value in annotations.items() if "deployment.kubernetes.io" not in key}
    spec = {key: value for key, value in item.get("spec", {}).items() if key not in ("clusterIP", "clusterIPs")}
    return {**item, "metadata": meta, "spec": spec}


@pytest.mark.parametrize("name", bodies())
def test_every_server_fills_in_the_same(servers: list[Server], name: str) -> None:
    body = bodies()[name]
    first, *others = (masked(server.create(body).ok(), "contract") for server in servers)
    for other in others:
        assert first == other


@pytest.mark.parametrize("name", bodies())
def test_every_server_gives_the_same_fields_to_who_edits(servers: list[Server], name: str) -> None:
    body = bodies()[name]
    change: Object = {"metadata": {"labels": {"x": "y"}}}
    if body["kind"] in ("Deployment", "StatefulSet"):
        container = {"name": "main", "image": "web:2", "livenessProbe": {"tcpSocket": {"port": 1}}}
        change["spec"] = {"template": {"spec": {"containers": [container]}}}
    seen = []
    for server in servers:
        server.create(body).ok()
        edited = server.patch(body, change, STRATEGIC, fieldManager="edit").ok()
        # Its controller may have written the status by now.
        seen.append({key: value for key, value in masked(edited, "edit").items() if key != "status"})
    assert all(one == seen[0] for one in seen[1:])


def test_a_deployment_is_filled_in(server: Server) -> None:
    spec = server.create(deployment(container={"readinessProbe": PROBE, "ports": [{"containerPort": 80}]})).ok()["spec"]
    assert spec == {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "restartPolicy": "Always",
                "terminationGracePeriodSeconds": 30,
                "dnsPolicy": "ClusterFirst",
                "securityContext": {},
                "schedulerName": "default-scheduler",
                "containers": [
                    {
                        "name": "main",
                        "image": "web:1.0",
                        "ports": [{"containerPort": 80, "protocol": "TCP"}],
                        "resources": {},
                        "readinessProbe": {
                            "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                            "timeoutSeconds": 1,
                            "periodSeconds": 5,
                            "successThreshold": 1,
                            "failureThreshold": 3,
                        },
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                        "imagePullPolicy": "IfNotPresent",
                    }
                ],
            },
        },
    }


def test_a_stateful_set_is_filled_in(server: Server) -> None:
    spec = server.create(stateful_set(volumeClaimTemplates=CLAIMS)).ok()["spec"]
    del spec["template"], spec["selector"]
    assert spec == {
        "replicas": 0,
        "serviceName": "web",
        "podManagementPolicy": "OrderedReady",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 1}},
        "revisionHistoryLimit": 10,
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "volumeClaimTemplates": [
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "d"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}},
                    "volumeMode": "Filesystem",
                },
                "status": {"phase": "Pending"},
            }
        ],
    }


def test_a_service_is_filled_in(server: Server) -> None:
    spec = server.create(service()).ok()["spec"]
    assert spec.pop("clusterIPs") == [spec.pop("clusterIP")]
    assert spec == {
        "selector": {"app": "web"},
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
    }
