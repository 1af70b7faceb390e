"""Whether the observed spec can be used: the schema, the versions, and what the components would make of it. Pure."""

from msgspec.structs import replace

from api.defaults import DEFAULT_VERSIONS
from api.parsing import parse_spec
from api.spec import PlatformSpec
from api.versions import incompatibilities, support_findings, upgrade_findings
from components.findings import findings as component_findings
from eventstore.events import Finding, SpecAccepted, SpecRejected
from eventstore.vocabulary import ComponentName
from projections.state import PlatformState, SpecState
from reconciler.core.desired import render_context


def judge(state: PlatformState) -> SpecAccepted | SpecRejected:
    """The verdict on `state.observed`, with the version of every enabled component where it is accepted."""
    observed = state.observed
    assert observed is not None
    parsed = parse_spec(observed.spec, name=state.name)
    findings: tuple[Finding, ...] = parsed.findings
    versions: dict[str, str] = {}
    if parsed.spec is not None:
        versions = resolve_versions(parsed.spec, _running_versions(state))
        findings += _version_findings(state, parsed.spec, versions)
        findings += _rendering_findings(state, observed, versions) if not findings else ()
    if findings:
        return SpecRejected(generation=observed.generation, digest=observed.digest, findings=findings)
    return SpecAccepted(generation=observed.generation, digest=observed.digest, versions=versions)


def wants_pause(state: PlatformState) -> bool:
    """`spec.paused` as the user wrote it; anything but true is false (the schema refuses other types)."""
    return state.observed is not None and state.observed.spec.get("paused") is True


def resolve_versions(spec: PlatformSpec, running: dict[str, str]) -> dict[str, str]:
    """The version of every enabled component: the one asked for, else the one it has, else this build's default.

    A new build of the operator with other defaults must not change what already runs.
    """
    return {
        name.value: component.version.removeprefix("v") or running.get(name) or DEFAULT_VERSIONS[name]
        for name, component in spec.enabled_components()
    }


def _running_versions(state: PlatformState) -> dict[str, str]:
    return state.accepted.versions if state.accepted else {}


def _version_findings(state: PlatformState, spec: PlatformSpec, versions: dict[str, str]) -> tuple[Finding, ...]:
    unsupported = support_findings(versions)
    if unsupported:
        return unsupported
    found = [*incompatibilities(versions)]
    for name, before in _running_versions(state).items():
        after = versions.get(name, before)
        if after != before:
            found += upgrade_findings(ComponentName(name), before, after, allow_downgrade=spec.allow_downgrade)
    return tuple(found)


def _rendering_findings(state: PlatformState, observed: SpecState, versions: dict[str, str]) -> tuple[Finding, ...]:
    context = render_context(state, replace(observed, versions=versions))
    return component_findings(context) if context else ()
