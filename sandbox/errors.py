"""Refusals, worded as a Kubernetes API server words them."""

import json
from typing import Any

#: (reason, message, field) of one cause of a refusal.
Cause = tuple[str, str, str]


class StatusError(Exception):
    """A request was refused; `body` is the `Status` object a client gets."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
        retry_after_seconds: int | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        self.code, self.reason, self.message, self.details = code, reason, message, details or {}
        # Some refusals come with details that say nothing: `{}` asks for them.
        self._shows_details = details is not None
        self.metadata = metadata or {}
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)

    def body(self) -> dict[str, Any]:
        """The `Status` object."""
        details = dict(self.details)
        if self.retry_after_seconds is not None:
            details["retryAfterSeconds"] = self.retry_after_seconds
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": dict(self.metadata),
            "status": "Failure",
            "message": self.message,
            **({"reason": self.reason} if self.reason else {}),
            "code": self.code,
        }
        if details or self._shows_details:
            status["details"] = details
        return status


def qualified(plural: str, group: str) -> str:
    """`deployments.apps`, `pods`."""
    return f"{plural}.{group}" if group else plural


def _details(kind: str, group: str, name: str, causes: list[Cause] | None = None) -> dict[str, Any]:
    details: dict[str, Any] = {"name": name}
    if group:
        details["group"] = group
    details["kind"] = kind
    if causes:
        details["causes"] = [{"reason": reason, "message": text, "field": field} for reason, text, field in causes]
    return details


def not_found(plural: str, group: str, name: str) -> StatusError:
    """404 for an object."""
    text = f'{qualified(plural, group)} "{name}" not found'
    return StatusError(404, "NotFound", text, _details(plural, group, name))


def no_such_resource() -> StatusError:
    """404 for a kind or path that is not served."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(plural: str, group: str, name: str) -> StatusError:
    """409 on create."""
    text = f'{qualified(plural, group)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", text, _details(plural, group, name))


def modified(plural: str, group: str, name: str) -> StatusError:
    """409: the resourceVersion sent is not the newest."""
    text = (
        f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return StatusError(409, "Conflict", text, _details(plural, group, name))


def precondition_failed(kind: str, group: str, name: str, what: str, wanted: str, found: str) -> StatusError:
    """409: uid or resourceVersion in the preconditions of a deletion differs."""
    why = "deleted and then recreated" if what == "UID" else "modified"
    text = (
        f'Operation cannot be fulfilled on {qualified(kind, group)} "{name}": the {what} in the precondition '
        f"({wanted}) does not match the {what} in record ({found}). The object might have been {why}"
    )
    return StatusError(409, "Conflict", text, _details(kind, group, name))


def stored_under_another_uid(
    plural: str, group: str, namespace: str, name: str, wanted: str, found: str
) -> StatusError:
    """409: a replacement carries the uid of another object. The words are those of the storage below the server."""
    key = "/".join(part for part in ("/registry", group if "." in group else "", plural, namespace, name) if part)
    text = (
        f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": StorageError: invalid object, Code: 4, '
        f"Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, "
        f"UID in object meta: {found}"
    )
    return StatusError(409, "Conflict", text, _details(plural, group, name))


def unsupported_media_type(accepted: tuple[str, ...]) -> StatusError:
    """415."""
    listed = ", ".join(accepted)
    text = f"the body of the request was in an unknown format - accepted media types include: {listed}"
    return StatusError(415, "UnsupportedMediaType", text)


def causes_of(causes: list[Cause]) -> dict[str, Any]:
    """Details that hold nothing but causes."""
    return {"causes": [{"reason": reason, "message": text, "field": field} for reason, text, field in causes]}


def apply_conflict(causes: list[Cause], message: str) -> StatusError:
    """409: server-side apply would take fields from another manager."""
    return StatusError(409, "Conflict", message, causes_of(causes))


def invalid(kind: str, group: str, name: str, causes: list[Cause]) -> StatusError:
    """422 with every field that is wrong."""
    texts = [f"{field}: {text}" if field else text for _, text, field in causes]
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    text = f'{qualified(kind, group)} "{name}" is invalid: {joined}'
    return StatusError(422, "Invalid", text, _details(kind, group, name, causes))


def invalid_value(field: str, value: Any, text: str) -> Cause:
    """A cause: the value is not allowed."""
    return "FieldValueInvalid", f"Invalid value: {shown(value)}: {text}", field


def unsupported_value(field: str, value: Any, known: tuple[str, ...]) -> Cause:
    """A cause: the value is none of those there are."""
    listed = ", ".join(f'"{name}"' for name in known)
    return "FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {listed}", field


def duplicate_value(field: str, value: Any) -> Cause:
    """A cause: the value is there already."""
    return "FieldValueDuplicate", f"Duplicate value: {shown(value)}", field


def required(field: str, text: str = "") -> Cause:
    """A cause: the field is missing."""
    return "FieldValueRequired", "Required value" + (f": {text}" if text else ""), field


def dry_run_causes(value: str) -> list[Cause]:
    """A cause if `dryRun` is not a word that is known."""
    if value in ("", "All"):
        return []
    return [("FieldValueNotSupported", f'Unsupported value: ["{value}"]: supported values: "All"', "dryRun")]


def invalid_options(kind: str, causes: list[Cause]) -> StatusError:
    """422: the options of a call are wrong."""
    error = invalid(kind, "meta.k8s.io", "", causes)
    error.details.pop("name")
    return error


def forbidden_field(field: str, text: str) -> Cause:
    """A cause: the field must not be set or changed."""
    return "FieldValueForbidden", f"Forbidden: {text}", field


def forbidden(plural: str, group: str, name: str, text: str, causes: list[Cause] | None = None) -> StatusError:
    """403 by an admission plugin."""
    message = f'{qualified(plural, group)} "{name}" is forbidden: {text}'
    return StatusError(403, "Forbidden", message, _details(plural, group, name, causes))


def forbidden_by_rbac(user: str, verb: str, plural: str, group: str, namespace: str, name: str) -> StatusError:
    """403 by the authorizer."""
    scope = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
    text = f'User "{user}" cannot {verb} resource "{plural}" in API group "{group}"{scope}'
    subject = f'{qualified(plural, group)} "{name}"' if name else qualified(plural, group)
    details = _details(plural, group, name) if name else {"kind": plural, **({"group": group} if group else {})}
    return StatusError(403, "Forbidden", f"{subject} is forbidden: {text}", details)


def unauthorized() -> StatusError:
    """401."""
    return StatusError(401, "Unauthorized", "Unauthorized")


def bad_request(text: str) -> StatusError:
    """400."""
    return StatusError(400, "BadRequest", text)


def too_old(resource_version: int, oldest: int) -> StatusError:
    """410: the watch window no longer holds this resourceVersion."""
    return StatusError(410, "Expired", f"too old resource version: {resource_version} ({oldest})")


def list_too_old() -> StatusError:
    """410 for a list of the past."""
    return StatusError(410, "Expired", "The resourceVersion for the provided list is too old.")


def inconsistent_continue(token: str) -> StatusError:
    """410 for a continue token; the one that comes with it goes on at the present."""
    text = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    return StatusError(410, "Expired", text, metadata={"continue": token})


def options_invalid(causes: list[Cause]) -> StatusError:
    """422 for the options of a list or a watch."""
    error = invalid("ListOptions", "meta.k8s.io", "", causes)
    error.details = {"group": "meta.k8s.io", "kind": "ListOptions", "causes": error.details["causes"]}
    return error


def unsupported(field: str, value: Any, known: list[str]) -> Cause:
    """A cause: the value is none of those that are known."""
    listed = ", ".join(shown(item) for item in known)
    return "FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {listed}", field


def too_large(resource_version: int, current: int) -> StatusError:
    """504: the resourceVersion is from the future."""
    text = "Too large resource version"
    causes = [{"reason": "ResourceVersionTooLarge", "message": text}]
    message = f"Timeout: {text}: {resource_version}, current: {current}"
    return StatusError(504, "Timeout", message, {"causes": causes}, retry_after_seconds=1)


def method_not_allowed() -> StatusError:
    """405."""
    text = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", text, {})


def not_acceptable(text: str) -> StatusError:
    """406: the answer cannot be had in the form asked for."""
    return StatusError(406, "NotAcceptable", text)


def not_implemented(what: str) -> StatusError:
    """501: the sandbox says what it does not do."""
    return StatusError(501, "NotImplemented", f"the sandbox does not implement {what} (docs/sandbox.md)")


def shown(value: Any) -> str:
    """A value as Go prints it in validation errors."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, dict | list):
        # In the order of the fields, which for Go is that of the struct.
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(value)
