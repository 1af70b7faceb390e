"""Refusals: what the server says, and what the operator makes of it (category and reason)."""

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.shell.api_errors import classify
from reconciler.shell.api_refusal import Call
from tests.contract.bodies import (
    claim,
    config_map,
    deployment,
    platform,
    quota,
    secret,
    service,
    stateful_set,
    widget,
    with_metadata,
)
from tests.contract.server import Answer, Object, Server, eventually

OTHER_UID = "11111111-2222-4333-8444-555555555555"
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
QUALIFIED = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
CONTAINER = "spec.template.spec.containers[0]"
HTTP = {"httpGet": {"port": 80}}


def judged(server: Server, answer: Answer, body: Object, verb: str = "patch") -> tuple[str, str]:
    """(category, reason) as the operator classifies the answer."""
    plural = server.path(body, name="").rpartition("/")[2]
    call = Call(
        verb=verb,
        api_version=body["apiVersion"],
        kind=body["kind"],
        plural=plural,
        namespace=body["metadata"].get("namespace") or server.namespace,
        name=body["metadata"]["name"],
    )
    error = classify(answer.status, answer.raw, answer.headers, call)
    return error.category.value, error.reason


def ingress(**path: Any) -> Object:
    """An Ingress with one path; None leaves a field out."""
    rule = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}, **path}
    host = rule.pop("host", "a.example.com")
    shown = {key: value for key, value in rule.items() if value is not None}
    spec = {"rules": [{"host": host, "http": {"paths": [shown]}}]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"}, "spec": spec}


def budget(**spec: Any) -> Object:
    """A PodDisruptionBudget."""
    body = {"selector": {"matchLabels": {"a": "b"}}, **spec}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": body}


def policy(**spec: Any) -> Object:
    """A NetworkPolicy."""
    body = {"podSelector": {}, **spec}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"}, "spec": body}


def reference(**fields: Any) -> Object:
    """A ConfigMap with one odd owner."""
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": OTHER_UID, **fields}
    return with_metadata(config_map(), ownerReferences=[owner])


# -- what is not valid ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (config_map("Upper"), [("metadata.name", f'Invalid value: "Upper": {SUBDOMAIN}')]),
        (
            config_map("x" * 254),
            [("metadata.name", f'Invalid value: "{"x" * 254}": must be no more than 253 characters')],
        ),
        (widget("Bad_"), [("metadata.name", f'Invalid value: "Bad_": {SUBDOMAIN}')]),
        (service("a.b"), [("metadata.name", 'Invalid value: "a.b": must not contain dots')]),
        (service("w" * 64), [("metadata.name", f'Invalid value: "{"w" * 64}": must be no more than 63 characters')]),
        (
            stateful_set("a.b"),
            [
                ("metadata.name", 'Invalid value: "a.b": must not contain dots'),
                ("spec.serviceName", 'Invalid value: "a.b": must not contain dots'),
            ],
        ),
        (
            with_metadata(config_map(), labels={"a": "x" * 64}),
            [("metadata.labels", f'Invalid value: "{"x" * 64}": must be no more than 63 bytes')],
        ),
        (with_metadata(config_map(), labels={"a": "-x"}), [("metadata.labels", f'Invalid value: "-x": {VALUE}')]),
        (with_metadata(config_map(), labels={"-a": "x"}), [("metadata.labels", f'Invalid value: "-a": {QUALIFIED}')]),
        (
            with_metadata(config_map(), labels={"a" * 64: "x"}),
            [("metadata.labels", f'Invalid value: "{"a" * 64}": name part must be no more than 63 bytes')],
        ),
        (
            with_metadata(config_map(), labels={"Bad_/a": "x"}),
            [("metadata.labels", f'Invalid value: "Bad_/a": prefix part {SUBDOMAIN}')],
        ),
        (
            with_metadata(config_map(), annotations={"a": "x" * 262145}),
            [("metadata.annotations", "Too long: may not be more than 262144 bytes")],
        ),
        (
            with_metadata(config_map(), finalizers=["bad"]),
            [
                (
                    "metadata.finalizers[0]",
                    'Invalid value: "bad": name is neither a standard finalizer name nor is it fully qualified',
                )
            ],
        ),
        (reference(name=""), [("metadata.ownerReferences[0].name", "Required value: must not be empty")]),
        (reference(uid=""), [("metadata.ownerReferences[0].uid", "Required value: must not be empty")]),
        (config_map(**{"..": "x"}), [("data[..]", "Invalid value: \"..\": must not be '..'")]),
        (config_map(a="x" * 1048577), [("[]", "Too long: may not be more than 1048576 bytes")]),
        (secret(stringData={"a": "x" * 1048577}), [("data", "Too long: may not be more than 1048576 bytes")]),
        (
            secret(type="kubernetes.io/tls", data={"a": "eA=="}),
            [("data[tls.crt]", "Required value"), ("data[tls.key]", "Required value")],
        ),
        (deployment(replicas=-1), [("spec.replicas", "Invalid value: -1: must be greater than or equal to 0")]),
        (
            deployment(selector={"matchLabels": {"a": "b"}}),
            [
                (
                    "spec.template.metadata.labels",
                    'Invalid value: {"app":"web"}: `selector` does not match template `labels`',
                )
            ],
        ),
        (
            deployment(selector={}),
            [("spec.selector", "Invalid value: {}: empty selector is invalid for deployment")],
        ),
        (deployment(pod={"containers": []}), [("spec.template.spec.containers", "Required value")]),
        (
            deployment(pod={"restartPolicy": "Never"}),
            [("spec.template.spec.restartPolicy", 'Unsupported value: "Never": supported values: "Always"')],
        ),
        (deployment(container={"image": ""}), [(f"{CONTAINER}.image", "Required value")]),
        (deployment(container={"name": "Bad_"}), [(f"{CONTAINER}.name", f'Invalid value: "Bad_": {LABEL}')]),
        (
            deployment(pod={"containers": [{"name": "a", "image": "x"}, {"name": "a", "image": "y"}]}),
            [("spec.template.spec.containers[1].name", 'Duplicate value: "a"')],
        ),
        (
            deployment(container={"ports": [{"containerPort": 70000}]}),
            [
                (
                    f"{CONTAINER}.ports[0].containerPort",
                    "Invalid value: 70000: must be between 1 and 65535, inclusive",
                )
            ],
        ),
        (
            deployment(container={"ports": [{"containerPort": 80, "name": "a-very-long-port-name"}]}),
            [
                (
                    f"{CONTAINER}.ports[0].name",
                    'Invalid value: "a-very-long-port-name": must be no more than 15 characters',
                )
            ],
        ),
        (
            deployment(container={"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]}),
            [(f"{CONTAINER}.ports[1].name", 'Duplicate value: "a"')],
        ),
        (
            deployment(container={"env": [{"name": "A=B", "value": "x"}]}),
            [
                (
                    f"{CONTAINER}.env[0].name",
                    (
                        'Invalid value: "A=B": a valid environment variable name must consist only of printable ASCII '
                        "characters other than '='"
                    ),
                )
            ],
        ),
        (
            deployment(container={"volumeMounts": [{"name": "v", "mountPath": "/x"}]}),
            [(f"{CONTAINER}.volumeMounts[0].name", 'Not found: "v"')],
        ),
        (
            deployment(pod={"volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]}),
            [("spec.template.spec.volumes[1].name", 'Duplicate value: "v"')],
        ),
        (
            deployment(container={"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}}),
            [
                (
                    f"{CONTAINER}.resources.requests",
                    'Invalid value: "2Gi": must be less than or equal to memory limit of 1Gi',
                )
            ],
        ),
        (
            deployment(container={"readinessProbe": {"periodSeconds": 3}}),
            [(f"{CONTAINER}.readinessProbe", "Required value: must specify a handler type")],
        ),
        (
            deployment(container={"readinessProbe": {**HTTP, "tcpSocket": {"port": 80}}}),
            [(f"{CONTAINER}.readinessProbe.tcpSocket", "Forbidden: may not specify more than 1 handler type")],
        ),
        (
            deployment(container={"livenessProbe": {**HTTP, "successThreshold": 2}}),
            [(f"{CONTAINER}.livenessProbe.successThreshold", "Invalid value: 2: must be 1")],
        ),
        (
            deployment(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
            [
                (
                    "spec.strategy.rollingUpdate.maxUnavailable",
                    "Invalid value: 0: may not be 0 when `maxSurge` is 0",
                )
            ],
        ),
        (
            stateful_set(podManagementPolicy="Odd"),
            [("spec.podManagementPolicy", "Invalid value: \"Odd\": must be 'OrderedReady' or 'Parallel'")],
        ),
        (service(ports=[]), [("spec.ports", "Required value")]),
        (
            service(ports=[{"port": 80}, {"port": 81}]),
            [("spec.ports[0].name", "Required value"), ("spec.ports[1].name", "Required value")],
        ),
        (
            service(ports=[{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]),
            [("spec.ports[1].name", 'Duplicate value: "a"')],
        ),
        (
            service(type="Odd"),
            [
                (
                    "spec.type",
                    (
                        'Unsupported value: "Odd": supported values: "ClusterIP", "ExternalName", "LoadBalancer", '
                        '"NodePort"'
                    ),
                )
            ],
        ),
        (claim(accessModes=[]), [("spec.accessModes", "Required value: at least 1 access mode is required")]),
        (claim(resources={}), [("spec.resources[storage]", "Required value")]),
        (claim(size="0"), [("spec.resources[storage]", 'Invalid value: "0": must be greater than zero')]),
        (
            ingress(host="Bad_"),
            [("spec.rules[0].host", f'Invalid value: "Bad_": {SUBDOMAIN}')],
        ),
        (ingress(path="x"), [("spec.rules[0].http.paths[0].path", 'Invalid value: "x": must be an absolute path')]),
        (
            ingress(pathType=None),
            [("spec.rules[0].http.paths[0].pathType", "Required value: pathType must be specified")],
        ),
        (budget(minAvailable=-1), [("spec.minAvailable", "Invalid value: -1: must be greater than or equal to 0")]),
        (
            policy(ingress=[{"from": [{}]}]),
            [("spec.ingress[0].from[0]", "Required value: must specify a peer")],
        ),
        (quota(pods="-1"), [("spec.hard[pods]", 'Invalid value: "-1": must be greater than or equal to 0')]),
    ],
    ids=lambda value: f"{value['kind']}-{value['metadata']['name'][:9]}" if isinstance(value, dict) else "",
)
def test_what_is_not_valid_is_refused_with_every_field(
    server: Server, body: Object, wrong: list[tuple[str, str]]
) -> None:
    answer = server.create(body)
    assert answer.status == 422, answer.body
    assert [(field, message) for _, field, message in answer.causes] == sorted(wrong)
    group = body["apiVersion"].rpartition("/")[0]
    kind = body["kind"] + (f".{group}" if group else "")
    texts = [f"{one['field']}: {one['message']}" for one in answer.body["details"]["causes"]]
    told = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    assert answer.body["message"] == f'{kind} "{body["metadata"]["name"]}" is invalid: {told}'
    assert judged(server, answer, body) == ("configuration", "Rejected")
    # By server-side apply as well; what is there twice is found before it is looked at.
    assert server.apply(body).status in (422, 500)


@pytest.mark.parametrize(
    "body",
    [
        service("1web"),
        deployment(container={"env": [{"name": "1A", "value": "x"}]}),
        deployment(container={"env": [{"name": "A", "value": "x"}, {"name": "A", "value": "y"}]}),
        with_metadata(widget(), finalizers=["bare"]),
        with_metadata(config_map(), annotations={"Upper/Case": "x"}),
        claim("with.dots"),
    ],
    ids=["service-from-digit", "env-from-digit", "env-twice", "bare-finalizer", "annotation-in-capitals", "claim-dots"],
)
def test_what_looks_wrong_and_is_not_is_let_in(server: Server, body: Object) -> None:
    server.create(body).ok()
    if body["kind"] == "Widget":
        server.patch(body, {"metadata": {"finalizers": None}}).ok()


def test_data_of_a_secret_must_be_in_base64(server: Server) -> None:
    answer = server.create(secret(data={"a": "%%"}))
    assert answer.refusal() == (
        400,
        "BadRequest",
        'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 0',
    )
    assert judged(server, answer, secret()) == ("configuration", "Rejected")


def test_a_quantity_must_be_one(server: Server) -> None:
    body = deployment(container={"resources": {"limits": {"cpu": "much"}}})
    words = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    assert server.create(body).refusal() == (
        400,
        "BadRequest",
        f'Deployment in version "v1" cannot be handled as a Deployment: {words}',
    )
    answer = server.apply(body)
    assert answer.status == 500
    assert answer.body["message"].endswith(words)
    assert judged(server, answer, body) == ("configuration", "Rejected")


# -- what must not change ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "change", "wrong"),
    [
        (
            deployment(),
            {"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}}}}},
            ("spec.selector", 'Invalid value: {"matchLabels":{"app":"x"}}: field is immutable'),
        ),
        (
            stateful_set(),
            {"spec": {"serviceName": "x"}},
            ("spec.serviceName", 'Invalid value: "x": field is immutable'),
        ),
        (
            stateful_set(),
            {"spec": {"podManagementPolicy": "Parallel"}},
            ("spec.podManagementPolicy", 'Invalid value: "Parallel": field is immutable'),
        ),
        (
            secret(type="Opaque"),
            {"type": "example.com/x"},
            ("type", 'Invalid value: "example.com/x": field is immutable'),
        ),
        (
            {**config_map(), "immutable": True},
            {"data": {"a": "9"}},
            ("data", "Forbidden: field is immutable when `immutable` is set"),
        ),
        (
            {**config_map(), "immutable": True},
            {"immutable": False},
            ("immutable", "Forbidden: field is immutable when `immutable` is set"),
        ),
    ],
    ids=["selector", "service-name", "pod-management", "secret-type", "immutable-data", "immutable-flag"],
)
def test_what_must_not_change_is_refused_by_name(
    server: Server, body: Object, change: Object, wrong: tuple[str, str]
) -> None:
    server.create(body).ok()
    answer = server.patch(body, change)
    assert [(field, message) for _, field, message in answer.causes] == [wrong]
    assert judged(server, answer, body) == ("configuration", "ImmutableField")


def test_the_claim_templates_of_a_stateful_set_cannot_change(server: Server) -> None:
    server.create(stateful_set()).ok()
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    answer = server.apply(stateful_set(volumeClaimTemplates=[{"metadata": {"name": "d"}, "spec": spec}]), force=True)
    assert [field for _, field, _ in answer.causes] == ["spec.volumeClaimTemplates"]
    assert judged(server, answer, stateful_set()) == ("configuration", "ImmutableField")


def test_what_may_change_on_a_stateful_set_may(server: Server) -> None:
    server.create(stateful_set()).ok()
    change = {
        "minReadySeconds": 3,
        "updateStrategy": {"type": "OnDelete", "rollingUpdate": None},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"},
        "template": {"spec": {"terminationGracePeriodSeconds": 7}},
    }
    server.patch(stateful_set(), {"spec": change}).ok()


@pytest.mark.parametrize(
    "change",
    [
        {"resources": {"requests": {"storage": "2Gi"}}},
        {"resources": {"requests": {"storage": "500Mi"}}},
        {"storageClassName": "other"},
        {"accessModes": ["ReadWriteMany"]},
    ],
    ids=["grow", "shrink", "class", "modes"],
)
def test_a_claim_that_is_not_bound_cannot_change(server: Server, change: Object) -> None:
    server.create(claim()).ok()
    answer = server.patch(claim(), {"spec": change})
    ((_, field, message),) = answer.causes
    assert field == "spec"
    assert message.startswith(
        "Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound "
        "claims\n@@"
    )
    assert judged(server, answer, claim()) == ("configuration", "ImmutableField")


def test_a_service_keeps_its_address(server: Server) -> None:
    made = server.create(service()).ok()
    address = made["spec"]["clusterIP"]
    assert made["spec"]["clusterIPs"] == [address]
    answer = server.patch(service(), {"spec": {"clusterIP": "None"}})
    assert [(field, text) for _, field, text in answer.causes] == [
        ("spec.clusterIPs[0]", 'Invalid value: ["None"]: may not change once set')
    ]
    assert (
        server.patch(service(), {"spec": {"clusterIP": None, "clusterIPs": None}}).ok()["spec"]["clusterIP"] == address
    )
    assert server.replace(service()).ok()["spec"]["clusterIP"] == address
    assert server.apply(service(), force=True).ok()["spec"]["clusterIP"] == address
    assert server.create(service("headless", clusterIP="None")).ok()["spec"]["clusterIPs"] == ["None"]


# -- quotas --------------------------------------------------------------------------------------------------------


def used(server: Server, name: str = "limits") -> Object:
    """What a quota says is used."""
    found = server.get(quota(name)).ok().get("status") or {}
    return dict(found.get("used") or {})


def test_what_exceeds_a_quota_is_refused_with_the_numbers(server: Server) -> None:
    server.create(quota(services="1")).ok()
    eventually(lambda: "services" in used(server), "the quota is counted")
    server.create(service("one")).ok()
    for answer in (server.create(service("two")), server.apply(service("two"))):
        assert answer.refusal() == (
            403,
            "Forbidden",
            (
                'services "two" is forbidden: exceeded quota: limits, requested: services=1, used: services=1, '
                "limited: services=1"
            ),
        )
        assert answer.body["details"] == {"name": "two", "kind": "services"}
        assert judged(server, answer, service("two")) == ("resource", "QuotaExceeded")
    assert server.create(service("two"), dryRun="All").status == 403
    server.patch(quota(), {"spec": {"hard": {"services": "2"}}}).ok()
    eventually(lambda: server.create(service("two")).status == 201, "the raised quota lets it in")


def test_a_quota_counts_objects_and_storage(server: Server) -> None:
    server.create(quota(count__secrets="1", **{"requests.storage": "1Gi"})).ok()
    eventually(lambda: "requests.storage" in used(server), "the quota is counted")
    server.create(secret("one")).ok()
    assert server.create(secret("two")).refusal()[2] == (
        'secrets "two" is forbidden: exceeded quota: limits, requested: count/secrets=1, used: count/secrets=1, '
        "limited: count/secrets=1"
    )
    assert server.create(claim(size="2Gi")).refusal()[2] == (
        'persistentvolumeclaims "data" is forbidden: exceeded quota: limits, requested: requests.storage=2Gi, used: '
        "requests.storage=0, limited: requests.storage=1Gi"
    )


def test_a_pod_must_state_what_a_quota_limits(server: Server) -> None:
    server.create(quota(**{"limits.cpu": "1", "requests.memory": "1Gi"})).ok()
    eventually(lambda: "limits.cpu" in used(server), "the quota is counted")
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    eventually(lambda: server.find(account) is not None, "the default account")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "main", "image": "x"}]},
    }
    answer = server.create(pod)
    assert answer.refusal()[2] == (
        'pods "p" is forbidden: failed quota: limits: must specify limits.cpu for: main; requests.memory for: main'
    )
    assert judged(server, answer, pod) == ("resource", "QuotaExceeded")


# -- the operator's table ------------------------------------------------------------------------------------------


def _absent_namespace(server: Server) -> tuple[Answer, Object]:
    body = with_metadata(config_map(), namespace="contract-nowhere")
    return server.apply(body), body


def _absent_kind(server: Server) -> tuple[Answer, Object]:
    body = {"apiVersion": "nothing.example.com/v1", "kind": "Thing", "metadata": {"name": "t"}}
    return server.apply(body), body


def _absent_object(server: Server) -> tuple[Answer, Object]:
    return server.get(platform("absent")), platform("absent")


def _twice(server: Server) -> tuple[Answer, Object]:
    server.create(config_map()).ok()
    return server.create(config_map()), config_map()


def _stale(server: Server) -> tuple[Answer, Object]:
    made = server.create(platform()).ok()
    server.patch(platform(), {"metadata": {"labels": {"a": "b"}}}).ok()
    fence = {"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]}
    return server.patch(platform(), {"metadata": {**fence, "finalizers": ["example.com/x"]}}), platform()


def _replaced_delete(server: Server) -> tuple[Answer, Object]:
    server.create(config_map()).ok()
    return server.delete(config_map(), {"preconditions": {"uid": OTHER_UID}}), config_map()


def _replaced_patch(server: Server) -> tuple[Answer, Object]:
    server.create(platform()).ok()
    return server.patch(platform(), {"metadata": {"uid": OTHER_UID, "finalizers": ["example.com/x"]}}), platform()


def _replaced_apply(server: Server) -> tuple[Answer, Object]:
    return server.apply(with_metadata(config_map(), uid=OTHER_UID)), config_map()


def _co_owned(server: Server) -> tuple[Answer, Object]:
    server.apply(config_map(a="1"), "other").ok()
    return server.apply(config_map(a="2")), config_map()


def _unreadable(server: Server) -> tuple[Answer, Object]:
    return server.apply({**config_map(), "foo": 1}), config_map()


def _broken_rule(server: Server) -> tuple[Answer, Object]:
    return server.apply(platform("a-name-that-is-longer-than-thirty-nine-characters")), platform("a-name")


def _too_large(server: Server) -> tuple[Answer, Object]:
    return server.apply(config_map(a="x" * (3 * 1024 * 1024 + 1))), config_map()


@pytest.mark.parametrize(
    ("provoke", "category", "reason"),
    [
        (_absent_namespace, "resource", "NamespaceGone"),
        (_absent_kind, "resource", "ApiMissing"),
        (_absent_object, "transient", "NotFound"),
        (_twice, "transient", "AlreadyExists"),
        (_stale, "transient", "Conflict"),
        (_replaced_delete, "transient", "UidMismatch"),
        (_replaced_patch, "transient", "UidMismatch"),
        (_replaced_apply, "transient", "UidMismatch"),
        (_co_owned, "transient", "Conflict"),
        (_unreadable, "configuration", "Rejected"),
        (_broken_rule, "configuration", "Rejected"),
        (_too_large, "configuration", "RequestTooLarge"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else str(value),
)
def test_the_operator_understands_the_refusal(
    server: Server, provoke: Callable[[Server], tuple[Answer, Object]], category: str, reason: str
) -> None:
    answer, body = provoke(server)
    assert answer.status >= 400, answer.body
    assert judged(server, answer, body) == (category, reason)
