"""What the API server's refusals mean: one table from (status, body) to category, reason and message. Pure.

Messages name what to mend and hold no values: of a Secret nothing the server says is kept at all.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from eventstore.vocabulary import ErrorCategory
from reconciler.shell.api_refusal import Call, Refusal, read_refusal
from reconciler.shell.cluster import ClusterError, ResourceExpiredError
from reconciler.shell.redaction import shorten

TRANSIENT, CONFIGURATION = ErrorCategory.TRANSIENT, ErrorCategory.CONFIGURATION
RESOURCE = ErrorCategory.RESOURCE


def classify(status: int, body: bytes, headers: Mapping[str, str], call: Call) -> ClusterError:
    """The error that an answer with a status outside 200..299 stands for.

    `headers` are looked up in lower case.
    """
    refusal, is_status = read_refusal(status, body, headers, call)
    return classify_refusal(refusal, is_status=is_status)


def classify_status_object(status_object: Mapping[str, Any], call: Call) -> ClusterError:
    """The error that a `Status` object in a watch stream stands for."""
    code = status_object.get("code")
    return classify(code if isinstance(code, int) else 500, msgspec.json.encode(status_object), {}, call)


def classify_refusal(refusal: Refusal, *, is_status: bool) -> ClusterError:
    """The table itself."""
    if (by_text := _by_text(refusal)) is not None:
        return by_text
    by_status = _BY_STATUS.get(refusal.status)
    if by_status is not None:
        return by_status(refusal, is_status)
    if refusal.status >= 500:
        return refusal.error(TRANSIENT, "ServerError", refusal.quoted(f"the API server answered {refusal.status}"))
    if 300 <= refusal.status < 400:
        return refusal.error(TRANSIENT, "BadResponse", f"answer {refusal.status}, a redirect, is not an API server's")
    return refusal.error(
        CONFIGURATION, "Rejected", refusal.quoted(f"the API server refused {refusal.call.subject} ({refusal.status})")
    )


def is_object_absent(error: ClusterError) -> bool:
    """Whether the error says that the object asked for does not exist (and not its namespace or its kind)."""
    return error.status == 404 and error.reason == "NotFound"


# -- told by the server's words, whatever the status ---------------------------------------------------------------

_WEBHOOK_DOWN = re.compile(r"failed calling webhook \"?([^\"\s:]+)")
_WEBHOOK_DENIED = re.compile(r"admission webhook \"([^\"]+)\" denied")
_POLICY_DENIED = re.compile(r"ValidatingAdmissionPolicy '([^']+)'.* denied|violates PodSecurity \"([^\"]+)\"")
_QUOTA = re.compile(
    r"exceeded quota: (?P<quota>[\w.-]+), requested: (?P<requested>[\w./=,-]+), "
    r"used: (?P<used>[\w./=,-]+), limited: (?P<limited>[\w./=,-]+)"
)
_QUOTA_LOOSE = re.compile(r"exceeded quota|failed quota: ([\w.-]+): must specify ([\w., :;/-]+)")
_LIMIT_RANGE = re.compile(
    r"((?:maximum|minimum) [\w.-]+ (?:usage|limit to request ratio)? ?per (?:Container|Pod|PersistentVolumeClaim) is "
    r"[^,\]]+)"
)
_TERMINATING = re.compile(r"because it is being terminated|namespace .{0,80} is being terminated")
_TYPED_PATCH = re.compile(
    r"failed to create typed (?:patch|live|new) object|not declared in schema|failed to convert new object|"
    r"unable to convert unstructured object|duplicate entries for key|quantities must match the regular expression|"
    r"cannot unmarshal|strict decoding error|cannot be handled as a|invalid Unicode character",
    re.IGNORECASE,
)
_TYPED_FIELD = re.compile(r"((?:\.[A-Za-z][\w-]*(?:\[[\w=\"./,:-]*\])?)+): ")


def _by_text(refusal: Refusal) -> ClusterError | None:
    text, call = refusal.text, refusal.call
    if refusal.status < 400:
        return None
    if found := _WEBHOOK_DENIED.search(text):
        return refusal.error(
            CONFIGURATION,
            "AdmissionDenied",
            refusal.quoted(f"admission webhook {found[1]} refused {call.subject}"),
        )
    if found := _WEBHOOK_DOWN.search(text):
        return refusal.error(
            TRANSIENT,
            "WebhookDown",
            f"admission webhook {found[1]} does not answer, so {call.subject} cannot be written: mend the webhook",
        )
    if found := _POLICY_DENIED.search(text):
        return refusal.error(
            CONFIGURATION,
            "AdmissionDenied",
            refusal.quoted(f"policy {found[1] or found[2]} refused {call.subject}"),
        )
    if refusal.status == 404:
        return None
    if refusal.status in (400, 500) and _TYPED_PATCH.search(text):
        fields = sorted(set(_TYPED_FIELD.findall(text)))[:5]
        where = f" at {', '.join(fields)}" if fields else ""
        return refusal.error(
            CONFIGURATION, "Rejected", refusal.quoted(f"the API server cannot read {call.subject}{where}")
        )
    return None


# -- told by the status --------------------------------------------------------------------------------------------


def _forbidden(refusal: Refusal, _is_status: bool) -> ClusterError:
    text, call = refusal.text, refusal.call
    if _TERMINATING.search(text) or _cause(refusal, "NamespaceTerminating"):
        return refusal.error(RESOURCE, "NamespaceTerminating", f"namespace {call.namespace} is being deleted")
    if found := _QUOTA.search(text):
        return refusal.error(
            RESOURCE,
            "QuotaExceeded",
            f"{call.subject} exceeds quota {found['quota']}: requested {found['requested']}, used {found['used']}, "
            f"limited to {found['limited']}; raise the quota or free resources",
        )
    if found := _QUOTA_LOOSE.search(text):
        needed = f" {found[1]}: set {found[2]}" if found[1] else ""
        return refusal.error(RESOURCE, "QuotaExceeded", f"{call.subject} does not fit quota{needed}")
    if found := _LIMIT_RANGE.search(text):
        return refusal.error(RESOURCE, "QuotaExceeded", f"{call.subject} does not fit a LimitRange: {found[1]}")
    return _permission_denied(refusal)


_RBAC = re.compile(
    r"cannot (?P<verb>[a-z]+) resource \"(?P<resource>[a-z0-9./-]+)\" in API group \"(?P<group>[a-z0-9.-]*)\""
    r"(?: in the namespace \"(?P<namespace>[a-z0-9-]+)\"| at the cluster scope)?"
)


def _permission_denied(refusal: Refusal) -> ClusterError:
    call = refusal.call
    found = _RBAC.search(refusal.text)
    plural = f"{call.plural}/{call.subresource}" if call.subresource else call.plural
    verb = found["verb"] if found else call.verb
    resource = found["resource"] if found else plural
    group = found["group"] if found else call.group
    namespace = (found["namespace"] if found else call.namespace) or ""
    where, role = (f"in namespace {namespace}", "Role") if namespace else ("in all namespaces", "ClusterRole")
    rule = f'{{apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["{verb}"]}}'
    dotted = f"{resource}.{group}" if group else resource
    return refusal.error(
        RESOURCE, "PermissionDenied", f"the operator may not {verb} {dotted} {where}: add {rule} to its {role}"
    )


def _not_found(refusal: Refusal, is_status: bool) -> ClusterError:
    call, details = refusal.call, refusal.details
    if call.namespace and (
        re.search(rf"namespaces? \"{re.escape(call.namespace)}\" not found", refusal.text)
        or (details.get("kind") in ("namespaces", "Namespace") and call.kind != "Namespace")
    ):
        return refusal.error(RESOURCE, "NamespaceGone", f"namespace {call.namespace} does not exist")
    names_it = details.get("name") == call.name or f'"{call.name}" not found' in refusal.text
    if is_status and call.name and names_it:
        return refusal.error(TRANSIENT, "NotFound", f"{call.subject} does not exist")
    return refusal.error(
        RESOURCE,
        "ApiMissing",
        f"the API server does not serve {call.plural} of {call.api_version}: install its CustomResourceDefinition"
        if "." in call.group
        else f"the API server does not serve {call.plural} of {call.api_version}: its version is too old or too new",
    )


#: In the words of the registry that deletes, of the storage below it, and of server-side apply.
_OTHER_UID = re.compile(r"the UID in the precondition|UID in precondition|uid mismatch")


def _conflict(refusal: Refusal, _is_status: bool) -> ClusterError:
    call = refusal.call
    if refusal.reason == "AlreadyExists":
        return refusal.error(TRANSIENT, "AlreadyExists", f"{call.subject} already exists")
    if _TERMINATING.search(refusal.text):
        return refusal.error(RESOURCE, "NamespaceTerminating", f"namespace {call.namespace} is being deleted")
    managers = sorted(set(re.findall(r"conflicts? with \"([^\"]{1,128})\"", refusal.text)))
    if managers:
        return refusal.error(TRANSIENT, "Conflict", f"{call.subject} is also written by {', '.join(managers[:5])}")
    if _OTHER_UID.search(refusal.text):
        return refusal.error(TRANSIENT, "UidMismatch", f"{call.subject} is another object now: its uid changed")
    return refusal.error(TRANSIENT, "Conflict", f"{call.subject} was changed by somebody else meanwhile")


_IMMUTABLE = re.compile(r"field is immutable|updates to \w+ spec for fields other than|is immutable after creation")
_MUTABLE_ONLY = re.compile(r"fields other than ([\w', ]+?)(?: are forbidden|$)")


def _invalid(refusal: Refusal, _is_status: bool) -> ClusterError:
    call, fields = refusal.call, _fields(refusal)
    where = ", ".join(fields) or "unnamed field"
    if "no new finalizers can be added" in refusal.text:
        return refusal.error(TRANSIENT, "BeingDeleted", f"{call.subject} is being deleted")
    if "metadata.uid" in fields:
        return refusal.error(TRANSIENT, "UidMismatch", f"{call.subject} is another object now: its uid changed")
    if _IMMUTABLE.search(refusal.text):
        allowed = _MUTABLE_ONLY.search(refusal.text)
        hint = f"; only {allowed[1]} can be changed" if allowed else ""
        return refusal.error(
            CONFIGURATION,
            "ImmutableField",
            f"{where} of {call.subject} cannot be changed on an existing object{hint}",
        )
    return refusal.error(CONFIGURATION, "Rejected", refusal.quoted(f"{where} of {call.subject} is not accepted"))


def _cause(refusal: Refusal, reason: str) -> bool:
    causes = refusal.details.get("causes")
    return isinstance(causes, list) and any(isinstance(one, dict) and one.get("reason") == reason for one in causes)


def _fields(refusal: Refusal) -> list[str]:
    causes = refusal.details.get("causes")
    found = [one.get("field") for one in causes if isinstance(one, dict)] if isinstance(causes, list) else []
    # A field path can hold a map key in brackets; anything longer than a path is not one.
    return sorted({shorten(field, 120) for field in found if isinstance(field, str) and field})[:5]


def _expired(refusal: Refusal, _is_status: bool) -> ClusterError:
    return ResourceExpiredError(
        TRANSIENT, "Expired", "the resourceVersion is not known to the server any more", status=refusal.status
    )


def _gateway_timeout(refusal: Refusal, is_status: bool) -> ClusterError:
    if "Too large resource version" in refusal.text:
        return _expired(refusal, is_status)
    return refusal.error(TRANSIENT, "Timeout", refusal.quoted("the API server gave up waiting"))


def _unauthorized(refusal: Refusal, _is_status: bool) -> ClusterError:
    return refusal.error(
        TRANSIENT, "Unauthorized", "the API server does not accept the operator's credentials, fresh ones neither"
    )


def _bug(reason: str, words: str) -> Callable[[Refusal, bool], ClusterError]:
    def build(refusal: Refusal, _is_status: bool) -> ClusterError:
        message = refusal.quoted(f"{refusal.call.subject}: {words}; please report this as a bug of the operator")
        return refusal.error(CONFIGURATION, reason, message)

    return build


def _busy(refusal: Refusal, _is_status: bool) -> ClusterError:
    reason = "TooManyRequests" if refusal.status == 429 else "ServerUnavailable"
    return refusal.error(TRANSIENT, reason, f"the API server is busy or starting ({refusal.status})")


def _too_large(refusal: Refusal, _is_status: bool) -> ClusterError:
    return refusal.error(CONFIGURATION, "RequestTooLarge", f"{refusal.call.subject} is larger than the API accepts")


_BY_STATUS = {
    401: _unauthorized,
    403: _forbidden,
    404: _not_found,
    406: _bug("NotAcceptable", "the API server cannot answer in JSON"),
    409: _conflict,
    410: _expired,
    413: _too_large,
    415: _bug("UnsupportedMediaType", "the API server does not know server-side apply"),
    422: _invalid,
    429: _busy,
    502: _busy,
    503: _busy,
    504: _gateway_timeout,
}
