"""What happens to an object on its way into the store: names, pruning, defaults, validation."""

import json
from typing import Any

from sandbox import changerules, customkinds, defaults, eventkinds, gotypes, validation
from sandbox.bodies import repeated_fields
from sandbox.errors import Cause, StatusError, bad_request, causes_of, invalid, invalid_value
from sandbox.kinds import CRD_KEY, Kind, Version
from sandbox.schemachecks import causes_against, custom_causes, is_sound, violations
from sandbox.schemas import metadata_schema
from sandbox.structural import fitted, pruned, unknown_fields
from sandbox.values import Object, clone, equal

#: Metadata that only the server writes.
SERVER_METADATA = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
_NAME_LIMIT = 58


def checked_body(kind: Kind, version: Version, namespace: str, body: Any) -> Object:
    """The body as an object of the kind in the namespace of the request.

    Raises:
        StatusError: 400, it is none.
    """
    if not isinstance(body, dict):
        raise bad_request("the request body is not an object")
    api_version = kind.api_version(version.name)
    if body.get("kind", kind.kind) != kind.kind or body.get("apiVersion", api_version) != api_version:
        raise bad_request(
            f"the API version in the data ({body.get('apiVersion')}, Kind={body.get('kind')}) does not match the "
            f"expected API version ({api_version}, Kind={kind.kind})"
        )
    meta = body.get("metadata") or {}
    if not isinstance(meta, dict):
        raise bad_request("metadata is not an object")
    if kind.namespaced and meta.get("namespace", namespace) not in ("", namespace):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    item: Object = {"apiVersion": api_version, "kind": kind.kind, **clone(body)}
    item["metadata"] = {key: value for key, value in clone(meta).items() if value is not None}
    if kind.namespaced:
        item["metadata"]["namespace"] = namespace
    else:
        item["metadata"].pop("namespace", None)
    return item


def check_name(item: Object, name: str) -> None:
    """Refuse an object that says it is another than that of the URL.

    Raises:
        StatusError: 400.
    """
    if item["metadata"].get("name", name) != name:
        raise bad_request(
            f"the name of the object ({item['metadata']['name']}) does not match the name on the URL ({name})"
        )


def unfit_patch(item: Any, error: StatusError) -> StatusError:
    """422 for a patch that leads to an object which cannot be read; the server shows the whole of it."""
    if error.code != 400 or "cannot be handled as a" not in error.message:
        return error
    fault = error.message.partition(": ")[2]
    cause = invalid_value("patch", json.dumps(item, separators=(",", ":"), ensure_ascii=False), fault)
    return StatusError(422, "Invalid", f' "" is invalid: {cause[2]}: {cause[1]}', causes_of([cause]))


def check_types(kind: Kind, version: Version, item: Object) -> None:
    """What a server decodes into its own types must have them: built-in kinds, and the metadata of all.

    Raises:
        StatusError: 400, a field of another type.
    """
    late = eventkinds.time_fault(item) if kind.kind == "Event" and not kind.custom else None
    if late:
        raise bad_request(f'Event in version "{version.name}" cannot be handled as a Event: {late}')
    parts = (
        violations(item["metadata"], metadata_schema(), "metadata")
        if kind.custom
        else causes_against(item, version.schema)
    )
    for reason, text, field in parts:
        # A null decodes to the zero value of any type.
        wrong_type = reason == "FieldValueTypeInvalid" and not text.startswith('Invalid value: "null"')
        if wrong_type or gotypes.QUANTITY in text:
            fault = gotypes.decode_fault(item, kind, version, field)
            raise bad_request(f'{kind.kind} in version "{version.name}" cannot be handled as a {kind.kind}: {fault}')
    check_encoding(kind, version, item)


def check_convertible(kind: Kind, version: Version, name: str, config: Object, sent: Object) -> None:
    """What is applied has the right types; its quantities may still be none.

    Raises:
        StatusError: 500.
    """
    if kind.custom or all(gotypes.QUANTITY not in text for _, text, _ in causes_against(config, version.schema)):
        return
    api_version = kind.api_version(version.name)
    where = f"{(sent.get('metadata') or {}).get('namespace', '')}/{name}; {kind.group}/{version.name}, Kind={kind.kind}"
    raise StatusError(
        500,
        "",
        f"failed to convert new object ({where}) to proper version: unable to convert unstructured object to "
        f"{api_version}, Kind={kind.kind}: {gotypes.QUANTITY}",
    )


def check_encoding(kind: Kind, version: Version, item: Object) -> None:
    """The data of a Secret is in base64.

    Raises:
        StatusError: 400, it is not.
    """
    fault = validation.check_secret_encoding(item.get("data")) if kind.kind == "Secret" and not kind.custom else None
    if fault:
        raise bad_request(f'Secret in version "{version.name}" cannot be handled as a Secret: {fault}')


def check_unknown_fields(
    kind: Kind, version: Version, body: Object, mode: str, warnings: list[str], sent: Any = None
) -> None:
    """`fieldValidation`: Strict refuses unknown fields, and those that stand twice in what was sent; Warn names them.

    Raises:
        StatusError: 400, unknown fields under Strict.
    """
    if mode == "Ignore":
        return
    unknown = [f'duplicate field "{path}"' for path in repeated_fields(sent)]
    unknown += [f'unknown field "{path}"' for path in unknown_fields(body, version.schema)]
    if not unknown:
        return
    if mode == "Strict":
        raise bad_request(
            f'{kind.kind} in version "{version.name}" cannot be handled as a {kind.kind}: strict decoding error: '
            + ", ".join(unknown)
        )
    warnings.extend(unknown)


def completed(kind: Kind, item: Object) -> Object:
    """The object pruned and with defaults; of the argument, only what nobody changes is kept."""
    schema = kind.storage_schema
    if kind.key == CRD_KEY:
        return customkinds.with_names(clone(item))
    meta = pruned(item["metadata"], metadata_schema())
    rest = {key: part for key, part in item.items() if key != "metadata"}
    body: Object = fitted(rest, schema) if kind.custom else pruned(rest, schema)
    body = {**body, "metadata": {key: part for key, part in meta.items() if part is not None}}
    filled: Object = {key: body[key] for key in dict.fromkeys((*item, *body)) if key in body}
    if not kind.custom:
        # They are filled in deep inside.
        filled = clone(filled)
        defaults.with_builtin_defaults(kind.kind, filled)
    for field in ("labels", "annotations", "finalizers", "ownerReferences"):
        if not filled["metadata"].get(field, True):
            del filled["metadata"][field]
    return filled


def generated_name(prefix: str, suffix: str) -> str:
    """A name from `metadata.generateName`."""
    return prefix[:_NAME_LIMIT] + suffix


def validate(kind: Kind, item: Object, before: Object | None, subresource: str = "") -> None:
    """Refuse an object that is not valid, or a change that is not allowed.

    Raises:
        StatusError: 422 with every field; 400 for built-in kinds with a wrong type.
    """
    meta = item["metadata"]
    causes: list[Cause] = list(validation.metadata_causes(kind.kind, meta, custom=kind.custom or kind.key == CRD_KEY))
    if before is not None:
        causes += _metadata_change_causes(before["metadata"], meta)
    if kind.key == CRD_KEY:
        customkinds.checked(item)
    elif kind.custom:
        causes += custom_causes(item, before, kind.storage_schema, subresource, causes)
    else:
        causes += _builtin_causes(kind, item, before)
    if causes:
        raise invalid(kind.kind, kind.group, meta["name"], causes)


def _metadata_change_causes(before: Object, after: Object) -> list[Cause]:
    causes: list[Cause] = []
    if before.get("deletionTimestamp"):
        added = [name for name in after.get("finalizers") or [] if name not in (before.get("finalizers") or [])]
        if added:
            shown = "[]string{" + ", ".join(f'"{name}"' for name in added) + "}"
            text = f"no new finalizers can be added if the object is being deleted, found new finalizers {shown}"
            causes.append(("FieldValueForbidden", f"Forbidden: {text}", "metadata.finalizers"))
    return causes


def _builtin_causes(kind: Kind, item: Object, before: Object | None) -> list[Cause]:
    # Written by the server and its controllers: not looked at again.
    body = {key: value for key, value in item.items() if key != "status"}
    body["metadata"] = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    # The same port or variable twice is let in, with a warning: which lists take no duplicates is for each kind to say.
    found = list(validation.builtin_causes(kind.kind, item))
    named = {field for _, _, field in found}
    if not is_sound(body, kind.storage_schema):
        found += [cause for cause in violations(body, kind.storage_schema) if cause[2] not in named]
    if before is not None:
        found += changerules.change_causes(kind.kind, before, item)
    return found


def same_but_for_bookkeeping(left: Object, right: Object) -> bool:
    """Whether two objects differ in nothing but `managedFields` times and the resourceVersion."""

    def rest(item: Object) -> Object:
        skipped = ("managedFields", "resourceVersion")
        return {**item, "metadata": {key: value for key, value in item["metadata"].items() if key not in skipped}}

    def owners(item: Object) -> list[Any]:
        entries = item["metadata"].get("managedFields") or []
        return [{key: value for key, value in entry.items() if key != "time"} for entry in entries]

    return equal(rest(left), rest(right)) and equal(owners(left), owners(right))


def raises_generation(kind: Kind, before: Object, after: Object) -> bool:
    """Whether anything but metadata and status differs; a Deployment's annotations count too."""

    def rest(item: Object) -> Object:
        return {key: value for key, value in item.items() if key not in ("metadata", "status")}

    if kind.kind == "Deployment" and not kind.custom:
        old, new = (item["metadata"].get("annotations") or {} for item in (before, after))
        if not equal(old, new):
            return True
    return not equal(rest(before), rest(after))


def immutable_uid(kind: Kind, name: str, uid: str) -> StatusError:
    """422: a patch carries another uid."""
    cause: Cause = ("FieldValueInvalid", f'Invalid value: "{uid}": field is immutable', "metadata.uid")
    return invalid(kind.kind, kind.group, name, [cause])
