"""Whether the observed spec can be used: the schema, the versions, and what the components would make of it. Pure."""

from msgspec.structs import replace

from api.backup import backup_warnings
from api.changes import change_findings
from api.parsing import parse_spec
from api.spec import PlatformSpec
from eventstore.events import Finding, SpecAccepted, SpecRejected
from projections.state import PlatformState
from reconciler.core.desired import rendering_findings


def judge(state: PlatformState) -> SpecAccepted | SpecRejected:
    """The verdict on `state.observed`, with the version of every enabled component where it is accepted.

    A component whose version the spec leaves open keeps the one it has: a new build of the operator with other
    defaults must not change what already runs.
    """
    observed = state.observed
    assert observed is not None
    parsed = parse_spec(observed.spec, name=state.name, pinned=_running_versions(state))
    findings: tuple[Finding, ...] = parsed.findings
    versions: dict[str, str] = {}
    if parsed.spec is not None:
        versions = {name: version.removeprefix("v") for name, version in parsed.spec.versions.items()}
        findings += _change_findings(state, parsed.spec)
        findings += rendering_findings(state, replace(observed, versions=versions)) if not findings else ()
    if findings:
        return SpecRejected(generation=observed.generation, digest=observed.digest, findings=findings)
    return SpecAccepted(
        generation=observed.generation,
        digest=observed.digest,
        versions=versions,
        warnings=backup_warnings(parsed.spec.backup) if parsed.spec is not None else (),
    )


def wants_pause(state: PlatformState) -> bool:
    """`spec.paused` as the user wrote it; anything but true is false (the schema refuses other types)."""
    return state.observed is not None and state.observed.spec.get("paused") is True


def _running_versions(state: PlatformState) -> dict[str, str]:
    return state.accepted.versions if state.accepted else {}


def _change_findings(state: PlatformState, after: PlatformSpec) -> tuple[Finding, ...]:
    """What cannot be changed on a platform that exists: versions without a way between them, storage, schemas."""
    if state.accepted is None:
        return ()
    before = parse_spec(state.accepted.spec, name=state.name, pinned=state.accepted.versions).spec
    return change_findings(before, after) if before is not None else ()
