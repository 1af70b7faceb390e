"""From what stands in the cluster to a `PlatformSpec`, or to sentences that say what is wrong and how to mend it."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from api.crd import spec_schema
from api.fields import UnknownField, unknown_fields, without_nulls
from api.freeform import UNRECORDED, is_unrecorded_text
from api.hints import hint
from api.naming import inline_secret_name, name_findings
from api.redaction import SPEC_TOO_LONG, is_unrecorded, path_text, redact
from api.spec import PlatformSpec
from api.versions import incompatibilities, support_findings
from eventstore.events import Finding
from eventstore.vocabulary import INSTALL_ORDER

#: More findings than this are summed up in one: a status and an event have their limits.
FINDINGS_MAX = 20


class ParsedSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Either a usable spec, or findings that say why there is none; warnings in both cases."""

    #: None if there are findings.
    spec: PlatformSpec | None
    #: What makes the spec unusable; each names a path, the fault and the remedy.
    findings: tuple[Finding, ...] = ()
    #: What works but is probably not what was meant.
    warnings: tuple[Finding, ...] = ()
    #: Paths below `spec` that the schema does not know; they have no effect.
    unknown_fields: tuple[str, ...] = ()


def parse_spec(raw: Any, *, name: str = "", pinned: Mapping[str, str] | None = None) -> ParsedSpec:
    """Read `spec` of a resource, redacted or not. Never raises; no finding holds a value of a secret.

    Args:
        raw: `spec` as JSON values, whatever they are.
        name: `metadata.name`; "" leaves out the rules for names.
        pinned: component name -> version to use where the spec names none: what is running already, so that a newer
            operator with newer defaults upgrades nothing by itself.
    """
    findings = list(name_findings(name)) if name else []
    if not isinstance(raw, dict) or not raw:
        findings.append(_finding("spec", "spec is empty; set for example spec.components.prometheus.enabled: true"))
        return ParsedSpec(spec=None, findings=tuple(findings))
    recorded = redact(raw, secret_name=inline_secret_name(name or "platform")).spec
    unknown = unknown_fields(recorded, spec_schema())
    findings += _unrecorded_findings(recorded)
    spec, invalid = _validated(without_nulls(recorded, spec_schema()), pinned or {})
    marked = {finding.subject for finding in findings}
    findings += [finding for finding in invalid if not _is_below(finding.subject, marked)]
    warnings = [_unknown_finding(field) for field in unknown]
    if unknown and recorded.get("strict") is True:
        findings, warnings = findings + warnings, []
    if spec is not None:
        findings += [*support_findings(spec.versions), *incompatibilities(spec.versions), *_digest_findings(spec)]
    return ParsedSpec(
        spec=None if findings else spec,
        findings=_bounded(findings),
        warnings=_bounded(warnings),
        unknown_fields=tuple(field.path for field in unknown),
    )


def _validated(raw: dict[str, Any], pinned: Mapping[str, str]) -> tuple[PlatformSpec | None, list[Finding]]:
    try:
        spec = PlatformSpec.model_validate(_with_versions(raw, pinned))
    except ValidationError as error:
        # include_input=False: the value at fault may be a secret, and must not even be copied.
        details = error.errors(include_url=False, include_input=False)
        return None, [_translated(detail, raw) for detail in details]
    return spec, []


def _with_versions(raw: dict[str, Any], pinned: Mapping[str, str]) -> dict[str, Any]:
    """The spec with the pinned versions where it names none."""
    result = dict(raw)
    places = [(("components", name.value), name.value) for name in INSTALL_ORDER]
    places.append((("alerting", "alertmanager"), "alertmanager"))
    for (parent, child), component in places:
        block = result.get(parent)
        entry = block.get(child) if isinstance(block, dict) else None
        if isinstance(block, dict) and isinstance(entry, dict) and "version" not in entry and component in pinned:
            result[parent] = {**block, child: {**entry, "version": pinned[component]}}
    return result


def _translated(detail: ErrorDetails, raw: dict[str, Any]) -> Finding:
    path = tuple(part for part in detail["loc"] if isinstance(part, int) or not _is_type_name(part))
    if path[:2] == ("components", "alertmanager") and "alertmanager" not in _object(raw.get("components")):
        path = ("alerting", *path[1:])
    subject = f"spec.{path_text(path)}" if path else "spec"
    return _finding(subject, f"{subject}: {hint(detail)}", reason=_reason(detail))


def _reason(detail: ErrorDetails) -> str:
    message = str(detail.get("ctx", {}).get("error", ""))
    return "ConfigInvalid" if re.search(r" at line [0-9]+, column [0-9]+$", message) else "InvalidSpec"


def _is_type_name(part: str) -> bool:
    """Pydantic names the alternative or validator it tried in the location; that is not part of the path."""
    return bool(re.match(r"^(function-|constrained-|nullable|tuple\[|dict\[|\[key\])", part)) or part in {
        "str",
        "int",
        "float",
        "bool",
        "SecretKeyRef",
    }


def _unrecorded_findings(value: Any, path: tuple[str | int, ...] = ()) -> list[Finding]:
    if is_unrecorded(value):
        subject = f"spec.{path_text(path)}"
        reason = "ConfigInvalid" if is_unrecorded_text(value) else "InvalidValue"
        reason = "ConfigTooLarge" if value == SPEC_TOO_LONG else reason
        return [_finding(subject, f"{subject}: {value.removeprefix(UNRECORDED)}; correct it", reason=reason)]
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [finding for key, entry in entries for finding in _unrecorded_findings(entry, (*path, key))]


def _digest_findings(spec: PlatformSpec) -> list[Finding]:
    if not spec.security.require_digests:
        return []
    return [
        _finding(
            f"spec.components.{name}.image",
            f"spec.components.{name}.image: an image by digest is required by security.requireDigests; "
            "set image: {repository: ..., digest: sha256:...}",
        )
        for name, component in spec.enabled_components()
        if component.image is None or not component.image.digest
    ]


def _unknown_finding(field: UnknownField) -> Finding:
    advice = f"; did you mean {field.suggestion}?" if field.suggestion else "; remove it"
    return _finding(f"spec.{field.path}", f"spec.{field.path} is not a known field{advice}", reason="UnknownField")


def _finding(subject: str, message: str, reason: str = "InvalidSpec") -> Finding:
    return Finding(reason=reason, message=message[:1000], subject=subject[:300])


def _bounded(findings: list[Finding]) -> tuple[Finding, ...]:
    unique = list(dict.fromkeys(findings))
    if len(unique) <= FINDINGS_MAX:
        return tuple(unique)
    rest = len(unique) - FINDINGS_MAX + 1
    return (*unique[: FINDINGS_MAX - 1], _finding("spec", f"and {rest} more findings of the same kind"))


def _is_below(subject: str, paths: set[str]) -> bool:
    return any(subject == path or subject.startswith((f"{path}.", f"{path}[")) for path in paths)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
