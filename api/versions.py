"""What is known about component versions: which are supported, which steps are possible, which do not go together.

All of it is data; the functions only look it up.
"""

import re
from typing import NamedTuple

from api.defaults import DEFAULT_VERSIONS
from eventstore.events import Finding
from eventstore.vocabulary import ComponentName

__all__ = ["DEFAULT_VERSIONS", "SemVer", "incompatibilities", "one_way_door", "parse_version", "upgrade_findings"]


class SemVer(NamedTuple):
    """A version that compares as semantic versioning says: a pre-release comes before its release."""

    major: int
    minor: int
    patch: int
    #: 1 for a release, 0 for a pre-release.
    released: int = 1
    prerelease: str = ""

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}.{self.patch}"
        return f"{text}-{self.prerelease}" if self.prerelease else text


def parse_version(text: str) -> SemVer:
    """Read `3.13.2` or `v3.13.2-rc.1`.

    Raises:
        ValueError: not a version.
    """
    match = re.fullmatch(r"v?([0-9]{1,5})\.([0-9]{1,5})\.([0-9]{1,5})(?:-([-.0-9A-Za-z]{1,31}))?", text)
    if match is None:
        raise ValueError("not a version; write for example 3.13.2")
    major, minor, patch, prerelease = match.groups()
    return SemVer(int(major), int(minor), int(patch), 0 if prerelease else 1, prerelease or "")


#: Ranges of (major, minor), both ends included.
_Range = tuple[tuple[int, int], tuple[int, int]]
SUPPORTED: dict[ComponentName, tuple[_Range, ...]] = {
    ComponentName.PROMETHEUS: (((2, 45), (2, 55)), ((3, 0), (3, 14))),
    ComponentName.LOKI: (((2, 9), (2, 9)), ((3, 0), (3, 7))),
    ComponentName.TEMPO: (((2, 3), (2, 10)), ((3, 0), (3, 0))),
    ComponentName.GRAFANA: (((10, 0), (10, 4)), ((11, 0), (11, 6)), ((12, 0), (12, 4)), ((13, 0), (13, 2))),
    ComponentName.ALERTMANAGER: (((0, 26), (0, 34)),),
}


class StopOver(NamedTuple):
    """From below `via`, a version of `target` or above is reached only by way of `via`."""

    component: ComponentName
    via: SemVer
    target: SemVer
    why: str


STOP_OVERS = (
    StopOver(ComponentName.PROMETHEUS, SemVer(2, 55, 0), SemVer(3, 0, 0), "only 2.55 reads both storage formats"),
    StopOver(ComponentName.TEMPO, SemVer(2, 10, 0), SemVer(3, 0, 0), "3.0 reads only blocks that 2.10 writes"),
)


class OneWayDoor(NamedTuple):
    """Once `boundary` or above has run, a version below `safe` cannot read the data."""

    component: ComponentName
    boundary: SemVer
    safe: SemVer
    why: str
    #: First version above `boundary` for which it no longer holds; None if it holds for all.
    until: SemVer | None = None


ONE_WAY_DOORS = (
    OneWayDoor(ComponentName.PROMETHEUS, SemVer(3, 0, 0), SemVer(2, 55, 0), "3.x data is readable from 2.55 on"),
    OneWayDoor(ComponentName.LOKI, SemVer(3, 0, 0), SemVer(3, 0, 0), "2.9 cannot read chunks with structured metadata"),
    OneWayDoor(ComponentName.TEMPO, SemVer(3, 0, 0), SemVer(3, 0, 0), "Tempo 3 has no way back"),
    OneWayDoor(ComponentName.GRAFANA, SemVer(12, 0, 0), SemVer(12, 0, 0), "12 rewrites the annotation table"),
    OneWayDoor(ComponentName.GRAFANA, SemVer(13, 0, 0), SemVer(13, 0, 0), "13 moves dashboards to unified storage"),
    OneWayDoor(
        ComponentName.ALERTMANAGER,
        SemVer(0, 32, 0),
        SemVer(0, 32, 0),
        "silences written by it cannot be read by older versions",
        until=SemVer(0, 32, 3),
    ),
    OneWayDoor(
        ComponentName.ALERTMANAGER,
        SemVer(0, 33, 0),
        SemVer(0, 32, 0),
        "silences written by it cannot be read by older versions",
        until=SemVer(0, 33, 1),
    ),
)


class Incompatibility(NamedTuple):
    """`first` from `first_from` on does not work with `second` below `second_below`."""

    first: ComponentName
    first_from: SemVer
    second: ComponentName
    second_below: SemVer
    why: str


INCOMPATIBILITIES = (
    Incompatibility(
        ComponentName.PROMETHEUS,
        SemVer(3, 0, 0),
        ComponentName.ALERTMANAGER,
        SemVer(0, 27, 0),
        "Prometheus 3 sends UTF-8 label names, which Alertmanager refuses before 0.27",
    ),
)


def is_supported(component: ComponentName, version: str) -> bool:
    """Whether this build knows how to run the version."""
    parsed = parse_version(version)
    return any(low <= (parsed.major, parsed.minor) <= high for low, high in SUPPORTED[component])


def supported_text(component: ComponentName) -> str:
    """For people: `2.45 to 2.55, 3.0 to 3.14`."""
    parts = []
    for (low_major, low_minor), (high_major, high_minor) in SUPPORTED[component]:
        low, high = f"{low_major}.{low_minor}", f"{high_major}.{high_minor}"
        parts.append(low if low == high else f"{low} to {high}")
    return ", ".join(parts)


def support_findings(versions: dict[str, str]) -> tuple[Finding, ...]:
    """A finding for each version that is not supported.

    Args:
        versions: component name -> version, of the enabled components.
    """
    return tuple(
        Finding(
            reason="UnsupportedVersion",
            subject=f"spec.components.{name}.version",
            message=f"{name} {version} is not supported; supported are {supported_text(ComponentName(name))} "
            f"(tested: {DEFAULT_VERSIONS[ComponentName(name)]})",
        )
        for name, version in versions.items()
        if not is_supported(ComponentName(name), version)
    )


def incompatibilities(versions: dict[str, str]) -> tuple[Finding, ...]:
    """A finding for each pair of versions that does not work together; names them both."""
    parsed = {ComponentName(name): parse_version(version) for name, version in versions.items()}
    findings = []
    for pair in INCOMPATIBILITIES:
        first, second = parsed.get(pair.first), parsed.get(pair.second)
        if first is None or second is None or first < pair.first_from or second >= pair.second_below:
            continue
        findings.append(
            Finding(
                reason="IncompatibleVersions",
                subject=f"spec.components.{pair.second}.version",
                message=f"{pair.first} {first} does not work with {pair.second} {second}: {pair.why}; "
                f"set {pair.second}.version to {pair.second_below} or above",
            )
        )
    return tuple(findings)


def upgrade_findings(
    component: ComponentName, from_version: str, to_version: str, *, allow_downgrade: bool = False
) -> tuple[Finding, ...]:
    """Why a component cannot go from one version to the other in one step; empty if it can.

    Args:
        allow_downgrade: the user accepts that data which the older version cannot read is lost.
    """
    start, end = parse_version(from_version), parse_version(to_version)
    subject = f"spec.components.{component}.version"
    findings = [
        Finding(
            reason="StopOverNeeded",
            subject=subject,
            message=f"{component} goes from {start} to {end} by way of {stop.via.major}.{stop.via.minor}: {stop.why}; "
            f"set version {stop.via} first and wait until it is Ready",
        )
        for stop in STOP_OVERS
        if stop.component is component and start < stop.via and end >= stop.target
    ]
    door = one_way_door(component, to_version, from_version)
    if door and not allow_downgrade:
        findings.append(
            Finding(
                reason="DowngradeRefused",
                subject=subject,
                message=f"{component} cannot go back from {start} to {end}: {door}; stay on {start}, or restore a "
                f"backup and set spec.allowDowngrade: true",
            )
        )
    return tuple(findings)


def one_way_door(component: ComponentName, from_version: str, to_version: str) -> str:
    """Why an upgrade `from_version` -> `to_version` cannot be undone without restoring data; empty if it can."""
    start, end = parse_version(from_version), parse_version(to_version)
    for door in ONE_WAY_DOORS:
        passed = end >= door.boundary and (door.until is None or end < door.until)
        if door.component is component and passed and start < door.safe:
            return door.why
    return ""
