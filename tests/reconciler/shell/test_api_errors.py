"""What the API server's refusals mean, with bodies as real servers write them."""

import json
from typing import Any

import pytest

from eventstore.vocabulary import ErrorCategory
from reconciler.shell.api_errors import classify, classify_status_object
from reconciler.shell.api_refusal import Call, retry_after_seconds
from reconciler.shell.cluster import ClusterError, ResourceExpiredError

T, C, R = ErrorCategory.TRANSIENT, ErrorCategory.CONFIGURATION, ErrorCategory.RESOURCE

STS = Call(
    verb="patch", api_version="apps/v1", kind="StatefulSet", plural="statefulsets", namespace="obs", name="prod-loki"
)
CONFIG = Call(verb="create", kind="ConfigMap", plural="configmaps", namespace="obs", name="prod-loki")
SECRET = Call(verb="patch", kind="Secret", plural="secrets", namespace="obs", name="prod-inline")
PLATFORMS = Call(
    verb="list", api_version="observability.io/v1beta1", kind="ObservabilityPlatform", plural="observabilityplatforms"
)


def refused(
    code: int, reason: str, message: str, call: Call = STS, headers: dict[str, str] | None = None, **details: Any
) -> ClusterError:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return classify(code, json.dumps({**body, "message": message, "details": details}).encode(), headers or {}, call)


QUOTA = (
    'pods "x" is forbidden: exceeded quota: team-a, requested: limits.memory=2Gi,requests.cpu=500m, '
    "used: limits.memory=7Gi,requests.cpu=3800m, limited: limits.memory=8Gi,requests.cpu=4"
)
RBAC = (
    'statefulsets.apps "prod-loki" is forbidden: User "system:serviceaccount:sl:stackledger" cannot patch resource '
    '"statefulsets" in API group "apps" in the namespace "obs"'
)
TERMINATING = (
    'configmaps "x" is forbidden: unable to create new content in namespace obs because it is being terminated'
)
IMMUTABLE = (
    'StatefulSet.apps "prod-loki" is invalid: spec: Forbidden: updates to statefulset spec for fields other than '
    "'replicas', 'ordinals', 'template', 'updateStrategy' and 'minReadySeconds' are forbidden"
)
TYPED = (
    "failed to create typed patch object (obs/prod-loki; apps/v1, Kind=StatefulSet): errors:\n"
    "  .spec.replicas: expected numeric (int or float), got string\n  .spec.wrong: field not declared in schema"
)
MISSING_CRD = "404 page not found\n"


@pytest.mark.parametrize(
    ("error", "category", "reason", "words"),
    [
        (
            refused(403, "Forbidden", QUOTA),
            R,
            "QuotaExceeded",
            ["team-a", "requests.cpu=500m", "3800m", "limits.memory=8Gi"],
        ),
        (
            refused(403, "Forbidden", 'pods "x" is forbidden: failed quota: q: must specify limits.cpu,limits.memory'),
            R,
            "QuotaExceeded",
            ["limits.cpu"],
        ),
        (
            refused(403, "Forbidden", 'pods "x" is forbidden: maximum cpu usage per Container is 1, but limit is 2'),
            R,
            "QuotaExceeded",
            ["LimitRange", "maximum cpu usage per Container is 1"],
        ),
        (
            refused(403, "Forbidden", RBAC),
            R,
            "PermissionDenied",
            [
                "patch",
                "statefulsets.apps",
                "obs",
                '{apiGroups: ["apps"], resources: ["statefulsets"], verbs: ["patch"]}',
            ],
        ),
        (
            refused(403, "Forbidden", 'secrets "a" is forbidden', SECRET),
            R,
            "PermissionDenied",
            ['{apiGroups: [""], resources: ["secrets"], verbs: ["patch"]}'],
        ),
        (refused(403, "Forbidden", "forbidden", PLATFORMS), R, "PermissionDenied", ["list", "ClusterRole"]),
        (refused(403, "Forbidden", TERMINATING, CONFIG), R, "NamespaceTerminating", ["obs"]),
        (
            refused(403, "Forbidden", "no", CONFIG, causes=[{"reason": "NamespaceTerminating"}]),
            R,
            "NamespaceTerminating",
            ["obs"],
        ),
        (refused(401, "Unauthorized", "Unauthorized"), T, "Unauthorized", []),
        (
            refused(404, "NotFound", 'namespaces "obs" not found', name="obs", kind="namespaces"),
            R,
            "NamespaceGone",
            ["obs"],
        ),
        (refused(404, "NotFound", 'statefulsets.apps "prod-loki" not found', name="prod-loki"), T, "NotFound", []),
        (classify(404, MISSING_CRD.encode(), {}, PLATFORMS), R, "ApiMissing", ["CustomResourceDefinition"]),
        (classify(404, MISSING_CRD.encode(), {}, STS), R, "ApiMissing", ["statefulsets of apps/v1"]),
        (
            refused(404, "NotFound", "the server could not find the requested resource", PLATFORMS),
            R,
            "ApiMissing",
            ["observabilityplatforms"],
        ),
        (
            refused(409, "Conflict", "the object has been modified; please apply your changes to the latest"),
            T,
            "Conflict",
            [],
        ),
        (
            refused(
                409,
                "Conflict",
                'Apply failed with 1 conflict: conflict with "kubectl-edit" using apps/v1: .spec.replicas',
            ),
            T,
            "Conflict",
            ["kubectl-edit"],
        ),
        (
            refused(409, "Conflict", "Precondition failed: UID in precondition: a, UID in object meta: b"),
            T,
            "UidMismatch",
            [],
        ),
        (
            refused(
                409,
                "Conflict",
                'Operation cannot be fulfilled on ConfigMap "x": the UID in the precondition (a) does not match the '
                "UID in record (b). The object might have been deleted and then recreated",
            ),
            T,
            "UidMismatch",
            [],
        ),
        (refused(409, "AlreadyExists", 'configmaps "x" already exists', CONFIG), T, "AlreadyExists", ["obs/prod-loki"]),
        (
            refused(422, "Invalid", IMMUTABLE, causes=[{"reason": "FieldValueForbidden", "field": "spec"}]),
            C,
            "ImmutableField",
            ["spec", "'replicas'"],
        ),
        (
            refused(
                422,
                "Invalid",
                'Deployment.apps "x" is invalid: spec.selector: Invalid value: {...}: field is immutable',
                causes=[{"reason": "FieldValueInvalid", "field": "spec.selector"}],
            ),
            C,
            "ImmutableField",
            ["spec.selector"],
        ),
        (
            refused(
                422,
                "Invalid",
                'Service "x" is invalid: spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535',
                causes=[{"reason": "FieldValueInvalid", "field": "spec.ports[0].port"}],
            ),
            C,
            "Rejected",
            ["spec.ports[0].port", "between 1 and 65535"],
        ),
        (refused(500, "", TYPED), C, "Rejected", [".spec.replicas", ".spec.wrong"]),
        (
            refused(
                500, "", "failed to convert new object (obs/x; /v1, Kind=Service): quantities must match the regular"
            ),
            C,
            "Rejected",
            [],
        ),
        (refused(500, "", 'duplicate entries for key [name="a"]'), C, "Rejected", []),
        (refused(400, "BadRequest", "yaml: invalid Unicode character escape code"), C, "Rejected", []),
        (refused(400, "BadRequest", "the body of the request was in an unknown format"), C, "Rejected", []),
        (refused(500, "InternalError", "etcdserver: leader changed"), T, "ServerError", ["500"]),
        (classify(502, b"<html>Bad Gateway</html>", {}, STS), T, "ServerUnavailable", []),
        (classify(503, b"", {}, STS), T, "ServerUnavailable", []),
        (refused(504, "Timeout", "request did not complete within requested timeout"), T, "Timeout", []),
        (refused(504, "Timeout", "Too large resource version: 99, current: 5"), T, "Expired", []),
        (refused(410, "Expired", "too old resource version"), T, "Expired", []),
        (refused(429, "TooManyRequests", "too many requests"), T, "TooManyRequests", []),
        (refused(413, "RequestEntityTooLarge", "limit is 3145728"), C, "RequestTooLarge", []),
        (refused(415, "UnsupportedMediaType", "the body"), C, "UnsupportedMediaType", ["bug"]),
        (refused(406, "NotAcceptable", "only"), C, "NotAcceptable", ["bug"]),
        (
            refused(400, "BadRequest", 'admission webhook "policy.example.com" denied the request: no latest tags'),
            C,
            "AdmissionDenied",
            ["policy.example.com", "no latest tags"],
        ),
        (
            refused(403, "Forbidden", 'admission webhook "v.kyverno" denied the request: exceeded quota: of patience'),
            C,
            "AdmissionDenied",
            ["v.kyverno"],
        ),
        (
            refused(
                500, "InternalError", 'Internal error occurred: failed calling webhook "v.x": Post "https://v.x": EOF'
            ),
            T,
            "WebhookDown",
            ["v.x"],
        ),
        (
            refused(403, "Forbidden", 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot'),
            C,
            "AdmissionDenied",
            ["restricted:latest"],
        ),
        (
            refused(422, "Invalid", "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"),
            C,
            "AdmissionDenied",
            ["policy p"],
        ),
        (
            refused(
                422,
                "Invalid",
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted",
            ),
            T,
            "BeingDeleted",
            [],
        ),
        (classify(302, b"", {"location": "http://login"}, STS), T, "BadResponse", ["302"]),
        (classify(418, b"\x00\x1b[31mteapot", {}, STS), C, "Rejected", ["418"]),
    ],
)
def test_each_refusal_has_a_category_a_reason_and_the_words_that_help(
    error: ClusterError, category: ErrorCategory, reason: str, words: list[str]
) -> None:
    assert (error.category, error.reason) == (category, reason), error
    for word in words:
        assert word in error.message
    assert len(error.message) <= 1024
    assert error.message.isprintable() or "\n" in error.message


def test_an_expired_version_is_its_own_type() -> None:
    assert isinstance(refused(410, "Gone", "too old"), ResourceExpiredError)
    assert isinstance(refused(504, "Timeout", "Too large resource version: 9, current: 5"), ResourceExpiredError)


CANARY = "S3CRET!!"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            400,
            f'Secret in version "v1" cannot be handled as a Secret: error found in #10 byte of ...|"k":"{CANARY}"|...',
        ),
        (422, f'Secret "x" is invalid: data[k]: Invalid value: "{CANARY}": must be base64'),
        (500, f"failed to create typed patch object: .data.k: expected string, got &value{{{CANARY}}}"),
        (403, f"something unforeseen about {CANARY}"),
        (400, f'admission webhook "w" denied the request: {CANARY}'),
        (503, f"overloaded by {CANARY}"),
        (418, CANARY),
    ],
)
def test_nothing_a_server_says_about_a_secret_is_repeated(code: int, message: str) -> None:
    for body in (json.dumps({"kind": "Status", "message": message}).encode(), message.encode()):
        assert CANARY not in str(classify(code, body, {}, SECRET))


def test_the_window_of_raw_input_in_a_decoder_error_is_cut_for_every_kind() -> None:
    error = refused(
        400, "BadRequest", f"cannot be handled as a ConfigMap: error found in #10 byte of ...|{CANARY}|...", CONFIG
    )
    assert CANARY not in str(error)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 1),
        ("-1", 1),
        ("7", 7),
        ("99999", 60),
        ("1.5", 1.5),
        ("nan", 60),
        ("inf", 60),
        ("soon", 60),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 60),
        ("Wed, 21 Oct 1999 07:28:00 GMT", 1),
    ],
)
def test_retry_after_is_clamped_whatever_it_says(value: str, seconds: float) -> None:
    headers = {"retry-after": value, "date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    assert retry_after_seconds(headers) == seconds


def test_without_retry_after_there_is_none() -> None:
    assert retry_after_seconds({}) is None
    assert refused(429, "TooManyRequests", "", headers={"retry-after": "9"}).retry_after_seconds == 9


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[" * 5000, b'{"kind":"Status","details":7,"message":9}', b"\xff"]
)
def test_a_body_that_is_no_status_is_survived(body: bytes) -> None:
    for code in (400, 403, 404, 409, 410, 422, 429, 500, 503, 599):
        assert classify(code, body, {}, STS).reason


def test_a_status_in_a_stream_without_a_code_is_a_server_error() -> None:
    assert classify_status_object({"kind": "Status", "message": "odd"}, STS).reason == "ServerError"
