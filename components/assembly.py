"""One component's design -> its manifests, in the order in which they are applied."""

from collections.abc import Iterator, Mapping
from typing import Any

from api.naming import inline_secret_name
from api.redaction import secret_key
from components.context import RenderContext
from components.encode import short_hash
from components.images import image_reference
from components.manifest import Manifest
from components.objects import (
    Port,
    config_map,
    headless_service,
    ingress,
    manifest,
    metadata,
    network_policy,
    pod_disruption_budget,
    selector,
    service,
    service_account,
)
from components.pods import (
    CONFIG_HASH_ANNOTATION,
    DEPENDENCIES_HASH_ANNOTATION,
    Design,
    deployment,
    pod_template,
    stateful_set,
)
from eventstore.vocabulary import LABEL_PLATFORM, ComponentName


def assemble(context: RenderContext, design: Design, first: list[Manifest] | None = None) -> list[Manifest]:
    """All objects of a component.

    Args:
        context: what is rendered.
        design: what the component decided.
        first: further objects (Secrets) that must exist before the workload.
    """
    name = design.facts.name
    account = service_account(_meta(context, name), context.component(name).image_pull_secrets)
    found = [manifest(name, account), *(first or [])]
    found += [manifest(name, body) for body in _config_maps(context, design)]
    found += [manifest(name, body) for body in _services(context, design)]
    if context.component(name).replicas > 1:
        found.append(manifest(name, pod_disruption_budget(_meta(context, name), selector(context.name, name))))
    found.append(manifest(name, _workload(context, design)))
    if context.spec.security.network_policy.enabled:
        found.append(manifest(name, _network_policy(context, design)))
    options = context.component(name).ingress
    if options is not None and options.enabled:
        meta = _meta(context, name, annotations=options.annotations)
        found.append(manifest(name, ingress(meta, options, context.object_name(name), design.ports[0])))
    return found


def _meta(
    context: RenderContext, name: ComponentName, suffix: str = "", annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    return metadata(context.object_name(name, suffix), context.name, name, annotations=annotations)


def _config_maps(context: RenderContext, design: Design) -> Iterator[dict[str, Any]]:
    name = design.facts.name
    for mount in design.mounts:
        if mount.files:
            meta = metadata(mount.config_map, context.name, name)
            yield config_map(meta, mount.files)


def _services(context: RenderContext, design: Design) -> Iterator[dict[str, Any]]:
    name, ports = design.facts.name, design.ports
    pods, options = selector(context.name, name), context.component(name).service
    meta = _meta(context, name, annotations=options.annotations)
    yield service(meta, pods, ports, options.type)
    yield headless_service(_meta(context, name, "headless"), pods, ports)


def _workload(context: RenderContext, design: Design) -> dict[str, Any]:
    name = design.facts.name
    image = image_reference(context, design.facts)
    template = pod_template(context, design, image)
    annotations = template["metadata"].setdefault("annotations", {})
    annotations[CONFIG_HASH_ANNOTATION] = _config_hash(design)
    if dependencies := _dependencies_hash(context, template["spec"]):
        annotations[DEPENDENCIES_HASH_ANNOTATION] = dependencies
    return stateful_set(context, name, template) if design.stateful else deployment(context, name, template)


def _config_hash(design: Design) -> str:
    parts: list[str] = []
    for mount in design.mounts:
        for file in sorted(mount.files):
            parts += [mount.path, file, mount.files[file]]
    return short_hash(*parts)


def _dependencies_hash(context: RenderContext, pod: dict[str, Any]) -> str:
    """Hash over the contents of all that the pod refers to; "" if nothing of it has a known content."""
    inline = {secret_key(path): hmac for path, hmac in context.inline_secrets.items()}
    parts: list[str] = []
    for kind, name, key in sorted(pod_references(pod)):
        if (kind, name) == ("Secret", inline_secret_name(context.name)):
            parts += [f"{kind}/{name}/{key}", inline.get(key, "")]
        elif f"{kind}/{name}" in context.dependencies:
            parts += [f"{kind}/{name}", context.dependencies[f"{kind}/{name}"]]
    return short_hash(*parts) if parts else ""


def pod_references(pod: dict[str, Any]) -> set[tuple[str, str, str]]:
    """(kind, name, key) of every Secret and ConfigMap that a pod spec reads; key is "" for all keys."""
    found: set[tuple[str, str, str]] = set()
    for container in pod["containers"]:
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                found.add(("Secret", reference["name"], reference["key"]))
    for volume in pod.get("volumes", []):
        if "configMap" in volume:
            keys = [item["key"] for item in volume["configMap"].get("items", [])] or [""]
            found |= {("ConfigMap", volume["configMap"]["name"], key) for key in keys}
        for source in volume.get("projected", {}).get("sources", []):
            found |= {("Secret", source["secret"]["name"], item["key"]) for item in source["secret"]["items"]}
    return found


def _network_policy(context: RenderContext, design: Design) -> dict[str, Any]:
    """The platform's own pods and those that the spec names may connect; everybody to the open ports."""
    name, ports = design.facts.name, design.ports
    allowed = ({LABEL_PLATFORM: context.name}, *context.spec.security.network_policy.allow_from)
    peers = [{"podSelector": {"matchLabels": dict(labels)}} for labels in allowed]
    rules: list[tuple[list[dict[str, Any]], list[Port]]] = [(peers, list(ports))]
    options = context.component(name).ingress
    if options is not None and options.enabled:
        # Ingress controllers run in namespaces of their own, under labels that nobody knows here.
        rules.append(([], [ports[0]]))
    return network_policy(_meta(context, name), selector(context.name, name), rules)
