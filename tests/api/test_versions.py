"""What is known about versions, looked up the right way round."""

import pytest

from api.defaults import DEFAULT_VERSIONS
from api.versions import (
    SUPPORTED,
    incompatibilities,
    is_supported,
    one_way_door,
    parse_version,
    support_findings,
    supported_text,
    upgrade_findings,
)
from eventstore.vocabulary import ComponentName

PROMETHEUS, LOKI, TEMPO = ComponentName.PROMETHEUS, ComponentName.LOKI, ComponentName.TEMPO
GRAFANA, ALERTMANAGER = ComponentName.GRAFANA, ComponentName.ALERTMANAGER


def reasons(component: ComponentName, before: str, after: str, *, allow: bool = False) -> list[str]:
    return [finding.reason for finding in upgrade_findings(component, before, after, allow_downgrade=allow)]


def test_versions_compare_by_number_and_not_by_text() -> None:
    written = ["3.13.2", "v3.2.0", "3.2.0-rc.1", "2.55.1", "v3.13.10"]
    assert [str(version) for version in sorted(map(parse_version, written))] == [
        "2.55.1",
        "3.2.0-rc.1",
        "3.2.0",
        "3.13.2",
        "3.13.10",
    ]


@pytest.mark.parametrize("text", ["", "latest", "3", "3.1", "v", "3.1.x", "3.1.2.3", "\uff13.1.2", "3.1.2\n"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        parse_version(text)


def test_every_component_has_a_default_that_is_supported() -> None:
    assert DEFAULT_VERSIONS.keys() == SUPPORTED.keys() == set(ComponentName)
    assert all(is_supported(name, version) for name, version in DEFAULT_VERSIONS.items())
    assert incompatibilities({name.value: version for name, version in DEFAULT_VERSIONS.items()}) == ()


@pytest.mark.parametrize(
    ("component", "version", "supported"),
    [
        (PROMETHEUS, "2.45.0", True),
        (PROMETHEUS, "2.44.0", False),
        (PROMETHEUS, "3.14.0", True),
        (PROMETHEUS, "3.15.0", False),
        (LOKI, "2.8.11", False),
        (LOKI, "2.9.17", True),
        (TEMPO, "3.0.3", True),
        (TEMPO, "3.1.0", False),
        (GRAFANA, "9.5.0", False),
        (GRAFANA, "13.2.2", True),
        (ALERTMANAGER, "0.25.0", False),
        (ALERTMANAGER, "0.34.0", True),
    ],
)
def test_the_ends_of_the_supported_ranges(component: ComponentName, version: str, supported: bool) -> None:
    assert is_supported(component, version) is supported
    assert (support_findings({component.value: version}) == ()) is supported


def test_the_supported_versions_are_told_in_words() -> None:
    assert supported_text(LOKI) == "2.9, 3.0 to 3.7"


@pytest.mark.parametrize(
    ("component", "before", "after", "expected"),
    [
        (PROMETHEUS, "2.54.1", "3.13.2", ["StopOverNeeded"]),
        (PROMETHEUS, "2.54.1", "2.55.1", []),
        (PROMETHEUS, "2.55.1", "3.13.2", []),
        (PROMETHEUS, "3.13.2", "2.55.1", []),
        (PROMETHEUS, "3.13.2", "2.54.1", ["DowngradeRefused"]),
        (PROMETHEUS, "3.14.0", "3.5.5", []),
        (TEMPO, "2.9.0", "3.0.3", ["StopOverNeeded"]),
        (TEMPO, "2.10.8", "3.0.3", []),
        (TEMPO, "3.0.3", "2.10.8", ["DowngradeRefused"]),
        (LOKI, "2.9.17", "3.7.6", []),
        (LOKI, "3.7.6", "2.9.17", ["DowngradeRefused"]),
        (GRAFANA, "13.2.2", "13.2.0", []),
        (GRAFANA, "13.2.2", "12.4.0", ["DowngradeRefused"]),
        (GRAFANA, "12.0.0", "11.6.0", ["DowngradeRefused"]),
        (GRAFANA, "11.6.0", "10.4.0", []),
        (ALERTMANAGER, "0.32.1", "0.31.0", ["DowngradeRefused"]),
        (ALERTMANAGER, "0.32.3", "0.31.0", []),
        (ALERTMANAGER, "0.33.0", "0.31.0", ["DowngradeRefused"]),
        (ALERTMANAGER, "0.33.1", "0.31.0", []),
    ],
)
def test_steps_between_versions(component: ComponentName, before: str, after: str, expected: list[str]) -> None:
    assert reasons(component, before, after) == expected


@pytest.mark.parametrize("component", list(ComponentName))
def test_a_version_can_always_stay(component: ComponentName) -> None:
    assert upgrade_findings(component, DEFAULT_VERSIONS[component], "v" + DEFAULT_VERSIONS[component]) == ()


def test_a_stop_over_is_named() -> None:
    (finding,) = upgrade_findings(PROMETHEUS, "v2.45.0", "v3.5.0")
    assert "by way of 2.55" in finding.message
    assert "set version 2.55.0 first" in finding.message
    assert finding.subject == "spec.components.prometheus.version"


def test_a_downgrade_that_loses_data_needs_to_be_allowed_and_a_stop_over_cannot_be() -> None:
    assert reasons(GRAFANA, "13.2.2", "12.4.0", allow=True) == []
    assert reasons(PROMETHEUS, "2.45.0", "3.5.0", allow=True) == ["StopOverNeeded"]


def test_an_upgrade_that_cannot_be_undone_is_known_beforehand() -> None:
    assert "unified storage" in one_way_door(GRAFANA, "12.4.0", "13.2.2")
    assert one_way_door(GRAFANA, "13.0.0", "13.2.2") == ""
    assert one_way_door(PROMETHEUS, "2.55.1", "3.13.2") == ""


@pytest.mark.parametrize(
    ("prometheus", "alertmanager", "compatible"),
    [("3.0.0", "0.26.0", False), ("3.0.0", "0.27.0", True), ("2.55.1", "0.26.0", True)],
)
def test_versions_that_do_not_go_together(prometheus: str, alertmanager: str, compatible: bool) -> None:
    found = incompatibilities({"prometheus": prometheus, "alertmanager": alertmanager})
    assert (found == ()) is compatible
    assert incompatibilities({"prometheus": prometheus}) == ()
