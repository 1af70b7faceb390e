"""Building blocks: pods under the restricted Pod Security Standard, and the workloads that keep them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from api.component import Component
from api.pods import Storage, TopologySpreadConstraint
from api.spec import AntiAffinity
from components.context import RenderContext
from components.encode import literal_argument
from components.objects import Port, labels, metadata, selector
from components.secretfiles import SECRETS_PATH, SecretFiles
from eventstore.vocabulary import LABEL_COMPONENT, LABEL_MANAGED_BY, LABEL_PLATFORM, MANAGED_BY_VALUE, ComponentName

#: On the pod template: pods are replaced when the rendered configuration or a Secret they read changes.
CONFIG_HASH_ANNOTATION = "stackledger.io/config-hash"
DEPENDENCIES_HASH_ANNOTATION = "stackledger.io/dependencies-hash"
DATA_VOLUME = "data"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of a component's image in every version: how to run it."""

    name: ComponentName
    #: Registry and repository without a tag.
    repository: str
    #: Put before the version to get the tag.
    tag_prefix: str = ""
    uid: int
    gid: int
    ports: tuple[Port, ...]
    data_path: str
    #: Further writable paths: the root file system is read-only.
    scratch_paths: tuple[str, ...] = ()
    live_path: str
    ready_path: str
    #: How long a start may take before the container is killed, seconds.
    startup_seconds: int
    #: How long an end may take before the container is killed, seconds.
    grace_seconds: int


class ConfigMount(msgspec.Struct, frozen=True, kw_only=True):
    """A ConfigMap as a directory of the container."""

    path: str
    config_map: str
    #: Key -> file name; all keys under their own names when empty.
    items: dict[str, str] = {}
    #: Files of a ConfigMap of ours; empty for one that the spec refers to.
    files: dict[str, str] = {}


class Design(msgspec.Struct, frozen=True, kw_only=True):
    """What one component decides for one rendering; everything else follows from its facts and the spec."""

    facts: Facts
    #: Taken literally; `$(NAME)` in them is not expanded.
    args: tuple[str, ...] = ()
    #: Arguments of ours in which the kubelet expands `$(NAME)`.
    expanded_args: tuple[str, ...] = ()
    #: Environment in Kubernetes' shape; the spec's `extraEnv` wins.
    env: tuple[dict[str, Any], ...] = ()
    mounts: tuple[ConfigMount, ...] = ()
    secrets: SecretFiles = SecretFiles()
    #: Ports beside those that every pod of the component has.
    further_ports: tuple[Port, ...] = ()
    #: A StatefulSet, or a Deployment for pods without a volume.
    stateful: bool = True

    @property
    def ports(self) -> tuple[Port, ...]:
        """All ports; the first one serves HTTP, probes and metrics."""
        return self.facts.ports + self.further_ports


def env_from_spec(component: Component) -> list[dict[str, Any]]:
    """The spec's `extraEnv` in Kubernetes' shape."""
    found: list[dict[str, Any]] = []
    for variable in component.extra_env:
        if variable.value_from is not None:
            reference = {"name": variable.value_from.name, "key": variable.value_from.key}
            found.append({"name": variable.name, "valueFrom": {"secretKeyRef": reference}})
        else:
            found.append({"name": variable.name, "value": literal_argument(variable.value or "")})
    return found


def resources(component: Component) -> dict[str, Any]:
    """`resources` of the main container; empty if the spec sets none."""
    found: dict[str, Any] = {}
    for kind in ("requests", "limits"):
        amounts = getattr(component.resources, kind)
        entry = {unit: getattr(amounts, unit) for unit in ("cpu", "memory") if getattr(amounts, unit)}
        if entry:
            found[kind] = entry
    return found


def probes(facts: Facts) -> dict[str, Any]:
    """Startup, liveness and readiness: slow starts are waited for, hangs are ended, traffic comes only when ready."""
    port = facts.ports[0].name
    every = 10
    return {
        "startupProbe": {
            "httpGet": {"path": facts.ready_path, "port": port},
            "periodSeconds": every,
            "timeoutSeconds": 5,
            "failureThreshold": max(1, facts.startup_seconds // every),
        },
        "livenessProbe": {
            "httpGet": {"path": facts.live_path, "port": port},
            "periodSeconds": 15,
            "timeoutSeconds": 10,
            "failureThreshold": 8,
        },
        "readinessProbe": {
            "httpGet": {"path": facts.ready_path, "port": port},
            "periodSeconds": 5,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
    }


def _mounts(design: Design) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(volumes, volumeMounts) but for the data volume's own definition."""
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = [{"name": DATA_VOLUME, "mountPath": design.facts.data_path}]
    for number, mount in enumerate(design.mounts):
        volume = "config" if number == 0 else f"config-{number}"
        source: dict[str, Any] = {"name": mount.config_map}
        if mount.items:
            source["items"] = [{"key": key, "path": path} for key, path in mount.items.items()]
        volumes.append({"name": volume, "configMap": source})
        mounts.append({"name": volume, "mountPath": mount.path, "readOnly": True})
    for number, path in enumerate(design.facts.scratch_paths):
        volume = "scratch" if number == 0 else f"scratch-{number}"
        volumes.append({"name": volume, "emptyDir": {}})
        mounts.append({"name": volume, "mountPath": path})
    if design.secrets.references:
        volumes.append({"name": "secrets", "projected": {"sources": design.secrets.projection()}})
        mounts.append({"name": "secrets", "mountPath": SECRETS_PATH, "readOnly": True})
    return volumes, mounts


def _container(design: Design, component: Component, image: str, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    facts = design.facts
    body: dict[str, Any] = {"name": facts.name.value, "image": image}
    if component.image_pull_policy:
        body["imagePullPolicy"] = component.image_pull_policy
    args = [*(literal_argument(arg) for arg in design.args), *design.expanded_args]
    if args:
        body["args"] = args
    taken = {variable.name for variable in component.extra_env}
    env = [entry for entry in design.env if entry["name"] not in taken] + env_from_spec(component)
    if env:
        body["env"] = env
    body["ports"] = [{"name": p.name, "containerPort": p.number, "protocol": p.protocol} for p in design.ports]
    body |= probes(facts)
    if found := resources(component):
        body["resources"] = found
    body["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }
    body["volumeMounts"] = mounts
    # With the end of the log, a container that cannot start says why without anybody reading its log.
    body["terminationMessagePolicy"] = "FallbackToLogsOnError"
    return body


def _spread(constraint: TopologySpreadConstraint, pods: Mapping[str, str]) -> dict[str, Any]:
    chosen = constraint.label_selector
    labels_wanted = chosen.model_dump(by_alias=True, exclude_defaults=True) if chosen else {"matchLabels": dict(pods)}
    return {
        "maxSkew": constraint.max_skew,
        "topologyKey": constraint.topology_key,
        "whenUnsatisfiable": constraint.when_unsatisfiable,
        "labelSelector": labels_wanted,
    }


def anti_affinity(pods: Mapping[str, str], wanted: AntiAffinity) -> dict[str, Any] | None:
    """Pods of one component on different nodes: always (hard), where possible (soft), or as it comes (none)."""
    term = {"labelSelector": {"matchLabels": dict(pods)}, "topologyKey": wanted.topology_key}
    if wanted.type == "hard":
        return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    weighted = {"weight": 100, "podAffinityTerm": term}
    soft = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [weighted]}}
    return soft if wanted.type == "soft" else None


def _placement(context: RenderContext, component: Component, pods: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    affinity = component.affinity
    if affinity is None and component.replicas > 1:
        affinity = anti_affinity(pods, context.spec.high_availability.anti_affinity)
    if component.node_selector:
        found["nodeSelector"] = dict(component.node_selector)
    if component.tolerations:
        found["tolerations"] = [t.model_dump(by_alias=True, exclude_none=True) for t in component.tolerations]
    if affinity:
        found["affinity"] = affinity
    if component.topology_spread_constraints:
        found["topologySpreadConstraints"] = [_spread(c, pods) for c in component.topology_spread_constraints]
    if component.priority_class_name:
        found["priorityClassName"] = component.priority_class_name
    return found


def pod_template(context: RenderContext, design: Design, image: str) -> dict[str, Any]:
    """The pod template: restricted security, probes, mounts, placement."""
    facts, component = design.facts, context.component(design.facts.name)
    volumes, mounts = _mounts(design)
    spec: dict[str, Any] = {
        "serviceAccountName": context.object_name(facts.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": facts.grace_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": facts.uid,
            "runAsGroup": facts.gid,
            "fsGroup": facts.gid,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if component.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in component.image_pull_secrets]
    spec |= _placement(context, component, selector(context.name, facts.name))
    spec["containers"] = [_container(design, component, image, mounts)]
    if component.storage is None:
        volumes = [{"name": DATA_VOLUME, "emptyDir": {}}, *volumes]
    if volumes:
        spec["volumes"] = volumes
    pod_labels = dict(component.pod_labels) | labels(context.name, facts.name, context.version(facts.name))
    annotations = dict(component.pod_annotations)
    return {"metadata": {"labels": pod_labels, "annotations": annotations}, "spec": spec}


def _volume_claim(context: RenderContext, name: ComponentName, storage: Storage) -> dict[str, Any]:
    """The claim template of the data volume. It is immutable: its labels are the ones that never change."""
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": storage.size}},
    }
    if storage.storage_class_name:
        spec["storageClassName"] = storage.storage_class_name
    ours = {LABEL_MANAGED_BY: MANAGED_BY_VALUE, LABEL_PLATFORM: context.name, LABEL_COMPONENT: name.value}
    return {"metadata": {"name": DATA_VOLUME, "labels": selector(context.name, name) | ours}, "spec": spec}


def stateful_set(context: RenderContext, name: ComponentName, template: dict[str, Any]) -> dict[str, Any]:
    """A StatefulSet with one data volume per replica."""
    component = context.component(name)
    spec: dict[str, Any] = {
        "serviceName": context.object_name(name, "headless"),
        "replicas": component.replicas,
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate"},
        "revisionHistoryLimit": 5,
        "selector": {"matchLabels": selector(context.name, name)},
        "template": template,
    }
    if component.storage is not None:
        # Scaling down never deletes data: only the end of the platform may.
        fate = {"whenDeleted": context.spec.deletion_policy, "whenScaled": "Retain"}
        spec["persistentVolumeClaimRetentionPolicy"] = fate
        spec["volumeClaimTemplates"] = [_volume_claim(context, name, component.storage)]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(context.object_name(name), context.name, name, context.version(name)),
        "spec": spec,
    }


def deployment(context: RenderContext, name: ComponentName, template: dict[str, Any]) -> dict[str, Any]:
    """A Deployment for pods without a volume of their own."""
    replicas = context.component(name).replicas
    spec = {
        "replicas": replicas,
        # One pod has an SQLite file to itself; several share a database and replace each other one by one.
        "strategy": {"type": "Recreate" if replicas == 1 else "RollingUpdate"},
        "revisionHistoryLimit": 5,
        "selector": {"matchLabels": selector(context.name, name)},
        "template": template,
    }
    meta = metadata(context.object_name(name), context.name, name, context.version(name))
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
