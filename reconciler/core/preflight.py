"""Pre-flight checks: is everything there that the accepted spec needs? Pure: it reads what was observed."""

from decimal import Decimal

import msgspec

from api.references import GRANT_LABEL, Reference
from components.quantities import format_quantity, parse_quantity
from components.requirements import quota_needs
from eventstore.events import DependencyObserved, Finding
from eventstore.vocabulary import Phase
from projections.state import PlatformState
from reconciler.core.desired import accepted_references, desired_manifests

#: Reason of a finding about a quota that is too small.
QUOTA_EXCEEDED = "QuotaExceeded"
#: Reason of a finding about an object that the operator may not read.
PERMISSION_DENIED = "PermissionDenied"


class Preflight(msgspec.Struct, frozen=True):
    """What is missing can appear by itself; what is refused needs an edit of the object or of the spec."""

    missing: tuple[Finding, ...] = ()
    refused: tuple[Finding, ...] = ()


def preflight(state: PlatformState) -> Preflight:
    """Every reference and, before the first install, every quota of the namespace."""
    missing: list[Finding] = []
    refused: list[Finding] = []
    for reference in accepted_references(state):
        subject = f"{reference.kind}/{reference.name}"
        seen = state.dependencies.get(subject)
        where = f"{reference.kind} {state.namespace}/{reference.name}"
        if seen is None or not seen.found:
            missing.append(
                _finding(f"{reference.kind}Missing", f"{where} not found; {_how(state, reference)}", subject)
            )
        elif seen.refused_reason == PERMISSION_DENIED:
            # A right can be given without anybody touching the object or the spec.
            missing.append(_finding(seen.refused_reason, f"{where} {seen.refused}", subject))
        elif seen.refused:
            refused.append(_finding(seen.refused_reason, f"{where} {seen.refused}", subject))
        else:
            missing += _missing_keys(reference.kind, where, reference.keys, seen)
    if state.phase is Phase.PENDING:
        missing += _exceeded_quotas(state)
    return Preflight(tuple(missing), tuple(refused))


def _how(state: PlatformState, reference: Reference) -> str:
    """All that the object needs, so that nobody has to come back for the second half."""
    keys = f" with {', '.join(reference.keys)}" if reference.keys else ""
    label = f" and the label {GRANT_LABEL}={state.name}" if reference.kind == "Secret" else ""
    return f"create it{keys}{label}"


def _missing_keys(kind: str, where: str, keys: tuple[str, ...], seen: DependencyObserved) -> list[Finding]:
    subject = f"{kind}/{seen.name}"
    return [
        _finding(f"{kind}KeyMissing", f"{where} has no value under the key {key!r}; add it", subject)
        for key in keys
        if not seen.keys.get(key)
    ]


def _exceeded_quotas(state: PlatformState) -> list[Finding]:
    known = [seen for _, seen in sorted(state.dependencies.items())]
    quotas = [seen for seen in known if seen.kind == "ResourceQuota" and seen.found]
    if not quotas:
        return []
    needs = quota_needs(tuple(desired_manifests(state).values()))
    return [
        _finding(
            QUOTA_EXCEEDED,
            f"quota {state.namespace}/{quota.name}: needs {format_quantity(needs[resource])} of {resource}, "
            f"{used} of {hard} are used; raise the quota or ask for less",
            f"ResourceQuota/{quota.name}",
        )
        for quota in quotas
        for resource, (hard, used) in sorted(quota.limits.items())
        if resource in needs and needs[resource] > _quantity(hard) - _quantity(used)
    ]


def _quantity(text: object) -> Decimal:
    return parse_quantity(str(text))


def _finding(reason: str, message: str, subject: str) -> Finding:
    return Finding(reason=reason, message=message, subject=subject)
