"""Least privilege, proved: without any one right of deploy/base something shows that it is missing, and which.

One test for each verb of each resource of each rule: it is taken away alone, something is done that needs it, and the
operator must say which right it lacks. Then it is given back, and all is well again by itself. A right that is granted
and that no test here knows how to miss fails as such. That the rights suffice, all other tests of this folder show:
they run under the role as it is, and none may log a refused call.
"""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from eventstore.vocabulary import GROUP, LABEL_MANAGED_BY, PLURAL
from reconciler.shell.cluster import Resource
from reconciler.shell.resources import PLATFORM, WATCHED
from tests.cluster.installation import Databases
from tests.cluster.process import ROOT
from tests.cluster.stage import ClusterStage
from tests.fixtures.controlplane import Cluster

Grant = tuple[str, str, str]

#: An object of every kind that the operator makes.
SPEC: dict[str, Any] = {
    "security": {"networkPolicy": {}},
    "components": {
        "grafana": {
            "persistence": {"enabled": False},
            "adminPassword": "Zq7-inline-canary-3Ty",
            "ingress": {"host": "grafana.example.com"},
        },
        "alertmanager": {"replicas": 2},
    },
}


def rules() -> list[dict[str, Any]]:
    """The rules of the operator's role, as deploy/base has them."""
    bodies = yaml.safe_load_all((ROOT / "deploy/base/rbac.yaml").read_text())
    (role,) = [body for body in bodies if body["kind"] == "ClusterRole"]
    found: list[dict[str, Any]] = role["rules"]
    return found


def grants() -> list[Grant]:
    """(group, resource, verb) of everything that the rules permit."""
    return [
        (group, resource, verb)
        for rule in rules()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def rules_without(grant: Grant) -> list[dict[str, Any]]:
    """One rule for every other grant."""
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        for group, resource, verb in grants()
        if (group, resource, verb) != grant
    ]


def named(grant: Grant) -> str:
    """As the operator says it: `patch statefulsets.apps`."""
    group, resource, verb = grant
    plural, _, subresource = resource.partition("/")
    return f"{verb} {plural}{f'/{subresource}' if subresource else ''}{f'.{group}' if group else ''}"


# -- what needs which right ----------------------------------------------------------------------------------------

CHILDREN = {
    "deployments": "prod-grafana",
    "statefulsets": "prod-alertmanager",
    "configmaps": "prod-alertmanager-config",
    "services": "prod-alertmanager",
    "serviceaccounts": "prod-alertmanager",
    "ingresses": "prod-grafana",
    "networkpolicies": "prod-alertmanager",
    "poddisruptionbudgets": "prod-alertmanager",
    "secrets": "prod-inline",
}
LABEL = "app.kubernetes.io/instance"


def without(component: str, *path: str) -> dict[str, Any]:
    """The spec without a component, or without one of its fields."""
    spec = copy.deepcopy(SPEC)
    inner: dict[str, Any] = spec["components"]
    for key in (component, *path)[:-1]:
        inner = inner[key]
    del inner[(component, *path)[-1]]
    return spec


#: What no longer asks for the object in CHILDREN.
DROPPING = {
    "deployments": without("grafana", "persistence"),
    "ingresses": without("grafana", "ingress"),
    "secrets": without("grafana", "adminPassword"),
    "poddisruptionbudgets": without("alertmanager", "replicas"),
    "networkpolicies": {**SPEC, "security": {"networkPolicy": {"enabled": False}}},
}


def delete_child(stage: ClusterStage, resource: str) -> None:
    """Somebody deletes an object of ours: it must be made again."""
    stage.kubectl.ok("delete", resource, CHILDREN[resource], "--wait=false")


def unlabel_child(stage: ClusterStage, resource: str) -> None:
    """An object that no watch shows is in the way of ours: it must be looked at."""
    if resource == "secrets":
        # Never watched: whatever refers to one reads it by its name.
        stage.secret("theirs", {"word": "Zq7-referenced-canary-5Tr"})
        word = {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "theirs", "key": "word"}}}
        stage.apply({"components": {"grafana": {"extraEnv": [word]}}}, "another")
    else:
        stage.kubectl.ok("label", resource, CHILDREN[resource], f"{LABEL_MANAGED_BY}-")


def edit_child(stage: ClusterStage, resource: str) -> None:
    """Somebody edits an object of ours: it must be written again. Of a Secret, the user edits what is in it."""
    if resource == "secrets":
        spec = copy.deepcopy(SPEC)
        spec["components"]["grafana"]["adminPassword"] = "Zq7-another-canary-7Rw"
        stage.apply(spec)
        return
    patch = json.dumps({"metadata": {"labels": {LABEL: "elsewhere"}}})
    stage.kubectl.ok("patch", resource, CHILDREN[resource], "--type=merge", "-p", patch)


def drop_child(stage: ClusterStage, resource: str) -> None:
    """The spec does not ask for it any more: it must be deleted."""
    stage.apply(DROPPING.get(resource, without("alertmanager")))


def make_platform(stage: ClusterStage, resource: str) -> None:
    """A new platform: its finalizer is put on, its status written, its beginning announced."""
    if resource == "observabilityplatforms":
        # Somebody else writes it at the same moment: then it is read afresh.
        kind = f"{PLURAL}.{GROUP}"
        stage.faults.inject(409, verb="patch", resource=kind, namespace=stage.namespace, remaining=1)
    stage.apply({"components": {"prometheus": {}}}, "another")


NEEDED_BY: dict[str, Callable[[ClusterStage, str], None]] = {
    "get": unlabel_child,
    "create": delete_child,
    "patch": edit_child,
    "delete": drop_child,
}


def deed(grant: Grant) -> Callable[[ClusterStage, str], None]:
    """What cannot be done without the right."""
    _, resource, verb = grant
    if resource in {"observabilityplatforms", "observabilityplatforms/status", "events"}:
        return make_platform
    known = resource in CHILDREN and verb in NEEDED_BY
    assert known, f"no test knows what `{named(grant)}` is good for: is it needed?"
    return NEEDED_BY[verb]


# -- the tests -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ready(
    control_plane: Cluster, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterStage]:
    """A platform with an object of every kind, under a role of its own; the tests of this file change the role."""
    directory = tmp_path_factory.mktemp("least-privilege")
    with ClusterStage(control_plane, directory, databases, rules=rules()) as stage:
        stage.operate(slow_probe_seconds=1, resync_seconds=10, lease_ttl_seconds=60)
        stage.install(SPEC)
        yield stage


@pytest.fixture(scope="module")
def bare(
    control_plane: Cluster, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterStage]:
    """No platform and no operator: for those that do not get far."""
    with ClusterStage(control_plane, tmp_path_factory.mktemp("bare"), databases, rules=rules()) as stage:
        yield stage


def take(stage: ClusterStage, grant: Grant) -> None:
    """Take one right away, and wait until that is so."""
    group, resource, verb = grant
    stage.set_rules(rules_without(grant))
    stage.wait(f"without {named(grant)}", lambda: not stage.may(verb, group, resource), seconds=10)


def give_back(stage: ClusterStage, grant: Grant) -> None:
    group, resource, verb = grant
    stage.set_rules(rules())
    stage.wait(f"with {named(grant)}", lambda: stage.may(verb, group, resource), seconds=10)


FOLLOWED = [grant for grant in grants() if grant[2] in {"list", "watch"}]
WRITTEN = [grant for grant in grants() if grant[2] not in {"list", "watch"}]


@pytest.mark.parametrize("grant", FOLLOWED, ids=named)
def test_without_the_right_to_follow_a_kind_the_operator_is_not_ready_and_says_so(
    bare: ClusterStage, grant: Grant
) -> None:
    take(bare, grant)
    operator = bare.operator()
    operator.start()
    try:
        bare.wait(f"red for {named(grant)}", lambda: f"may not {named(grant)}" in operator.unreadiness(), seconds=30)
    finally:
        operator.kill()


@pytest.mark.parametrize("grant", WRITTEN, ids=named)
def test_without_the_right_the_user_is_told_which_one_and_with_it_all_is_well_again(
    ready: ClusterStage, grant: Grant
) -> None:
    stage = ready
    do = deed(grant)
    told_before = _told(stage, grant)
    take(stage, grant)
    try:
        do(stage, grant[1])
        # What nobody follows (our Secrets) is looked at with every second resync.
        stage.wait(f"told of {named(grant)}", lambda: _told(stage, grant) > told_before, seconds=40)
    finally:
        give_back(stage, grant)
        if stage.platform("another"):
            stage.wait_ready("another")
            stage.remove("another")
        stage.install(SPEC)


def test_the_rules_name_each_kind_that_is_followed_and_no_other() -> None:
    followed = {(_group(watched.resource), watched.resource.plural) for watched in WATCHED}
    assert {(group, resource) for group, resource, verb in grants() if verb == "watch"} == followed
    assert {(group, resource) for group, resource, verb in grants() if verb == "list"} == followed


def _group(resource: Resource) -> str:
    return resource.api_version.rpartition("/")[0]


def _told(stage: ClusterStage, grant: Grant) -> int:
    """How often somebody could have read that this right is missing: in a status, an Event, or the log."""
    words = f"may not {named(grant)}"
    statuses = [json.dumps(one.get("status")) for one in stage.cluster.list_all(PLATFORM, stage.namespace).items]
    notes = [event.get("note", "") for event in stage.kubernetes_events() + stage.kubernetes_events("another")]
    if grant[1] in {"observabilityplatforms/status", "events"}:
        # Whoever may not write the status cannot say so there.
        notes += [stage.operators[0].output()]
    return sum(text.count(words) for text in (*statuses, *notes))
