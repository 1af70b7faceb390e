"""CustomResourceDefinitions: checked, given a status, and turned into a kind."""

from sandbox.errors import Cause, invalid, invalid_value, required, unsupported
from sandbox.kinds import GroupKind, Kind, Version
from sandbox.schemarules import schema_causes
from sandbox.schemas import OPEN_SCHEMA, Schema, metadata_schema
from sandbox.values import Object, clone, dig

#: Custom resources go before their definition does.
FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


def kind_of(crd: Object) -> Kind:
    """The kind a CustomResourceDefinition declares."""
    spec = crd["spec"]
    names = spec["names"]
    served = [version for version in spec["versions"] if version.get("served")]
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    stored = next(version for version in spec["versions"] if version["name"] == storage)
    subresources = stored.get("subresources") or {}
    return Kind(
        group=spec["group"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        namespaced=spec.get("scope") == "Namespaced",
        versions=tuple(
            Version(version["name"], schema_of(version), tuple(version.get("additionalPrinterColumns") or ()))
            for version in sorted(served, key=lambda item: _priority(item["name"]))
        ),
        storage_version=storage,
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(name for name in ("status", "scale") if name in subresources),
        scale=subresources.get("scale"),
        custom=True,
        selectable=tuple(
            field["jsonPath"].lstrip(".") for field in stored.get("selectableFields") or [] if "jsonPath" in field
        ),
    )


def _priority(version: str) -> tuple[int, int, int]:
    """Kubernetes' order of versions: GA before beta before alpha, newer before older."""
    body = version.removeprefix("v")
    for rank, word in enumerate(("", "beta", "alpha")):
        major, found, minor = body.partition(word) if word else (body, "", "")
        if major.isdigit() and (not word or found):
            return rank, -int(major), -int(minor or 0)
    return 3, 0, 0


def schema_of(version: Object) -> Schema:
    """The version's schema, with the fields every object has."""
    schema: Schema = clone(dig(version, "schema", "openAPIV3Schema", default=OPEN_SCHEMA))
    if schema.get("type") == "object" and "properties" in schema:
        properties = schema["properties"]
        properties["apiVersion"] = properties.get("apiVersion") or {"type": "string"}
        properties["kind"] = properties.get("kind") or {"type": "string"}
        properties["metadata"] = metadata_schema()
    return schema


def checked(crd: Object) -> None:
    """Refuse a definition that cannot be served.

    Raises:
        StatusError: 422, naming the fields.
    """
    spec, name = crd.get("spec") or {}, crd["metadata"]["name"]
    causes = _causes(spec, name)
    if causes:
        raise invalid("CustomResourceDefinition", "apiextensions.k8s.io", name, causes)


def _causes(spec: Object, name: str) -> list[Cause]:
    causes = [required(f"spec.{key}") for key in ("group", "names", "scope") if not spec.get(key)]
    if causes:
        return causes
    names, versions = spec["names"], spec.get("versions") or []
    if spec["scope"] not in ("Cluster", "Namespaced"):
        causes.append(unsupported("spec.scope", spec["scope"], ["Cluster", "Namespaced"]))
    causes += [required(f"spec.names.{key}") for key in ("plural", "kind") if not names.get(key)]
    wanted = f"{names.get('plural')}.{spec['group']}"
    if name != wanted:
        causes.append(invalid_value("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        causes.append(
            invalid_value("spec.versions", versions, "must have exactly one version marked as storage version")
        )
        causes.append(invalid_value("status.storedVersions", None, "must have at least one stored version"))
    if dig(spec, "conversion", "strategy", default="None") != "None":
        causes.append(invalid_value("spec.conversion.strategy", "Webhook", "the sandbox converts with None only"))
    alike = all(version.get("schema") == versions[0].get("schema") for version in versions)
    for at, version in enumerate(versions):
        path = f"spec.versions[{at}].schema.openAPIV3Schema"
        schema = dig(version, "schema", "openAPIV3Schema")
        if schema is None:
            causes.append(required(path))
        elif not alike:
            causes += schema_causes(schema, path)
        elif at == 0:
            # What all versions have in common is kept, and complained of, in one place.
            causes += schema_causes(schema, "spec.validation.openAPIV3Schema")
    return causes


def accepted_status(crd: Object, now: str) -> Object:
    """`.status` of a definition that is served."""
    spec = crd["spec"]
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    stored = dig(crd, "status", "storedVersions", default=[])
    since = {item["type"]: item["lastTransitionTime"] for item in dig(crd, "status", "conditions", default=[])}
    return {
        "acceptedNames": clone(spec["names"]),
        "storedVersions": [*stored, *([storage] if storage not in stored else [])],
        "conditions": [
            {
                "type": "NamesAccepted",
                "status": "True",
                "reason": "NoConflicts",
                "message": "no conflicts found",
                "lastTransitionTime": since.get("NamesAccepted", now),
            },
            {
                "type": "Established",
                "status": "True",
                "reason": "InitialNamesAccepted",
                "message": "the initial names have been accepted",
                "lastTransitionTime": since.get("Established", now),
            },
        ],
    }


def with_names(crd: Object) -> Object:
    """The definition with the names Kubernetes fills in."""
    spec = dict(crd.get("spec") or {})
    names = dict(spec.get("names") or {})
    if names.get("kind"):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", names["kind"] + "List")
        spec["names"] = names
        spec.setdefault("conversion", {"strategy": "None"})
    return {**crd, "spec": spec}


def key_of(crd: Object) -> GroupKind:
    """Where the custom resources are stored."""
    return GroupKind(crd["spec"]["group"], crd["spec"]["names"]["plural"])
