"""What a spec needs from others, and what a running platform cannot change."""

from typing import Any

import pytest

from api.changes import change_findings
from api.naming import inline_secret_name
from api.parsing import parse_spec
from api.references import Reference, granted, references
from api.spec import PlatformSpec


def spec_of(raw: dict[str, Any]) -> PlatformSpec:
    parsed = parse_spec(raw, name="prod")
    assert parsed.spec is not None, parsed.findings
    return parsed.spec


def component(name: str, **fields: Any) -> dict[str, Any]:
    return {"components": {name: fields}}


def ref(name: str, key: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": key}}


def needed(raw: dict[str, Any]) -> list[Reference]:
    return list(references(spec_of(raw), inline_secret=inline_secret_name("prod")))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (component("prometheus"), []),
        (component("grafana", adminPassword=ref("a", "k")), [Reference("Secret", "a", ("k",))]),
        (component("grafana", adminPassword="inline"), []),
        (
            component("loki", s3={"bucket": "logs", "secretRef": {"name": "s3"}}),
            [Reference("Secret", "s3", ("accessKeyId", "secretAccessKey"))],
        ),
        (component("loki", s3={"bucket": "logs", "secretRef": {"name": "s3"}, "enabled": False}), []),
        (
            component(
                "prometheus", additionalScrapeConfigs=[{"job_name": "a", "basic_auth": {"password": ref("b", "p")}}]
            ),
            [Reference("Secret", "b", ("p",))],
        ),
        (
            component("prometheus", remoteWrite=[{"url": "https://a", "headers": {"X-Token": ref("h", "t")}}]),
            [Reference("Secret", "h", ("t",))],
        ),
        (
            component("alertmanager", config={"global": {"smtpAuthPassword": ref("m", "p")}}),
            [Reference("Secret", "m", ("p",))],
        ),
        (component("alertmanager", configSecret="am"), [Reference("Secret", "am", ("alertmanager.yaml",))]),
        (
            component("tempo", extraEnv=[{"name": "A", "valueFrom": ref("e", "v")}]),
            [Reference("Secret", "e", ("v",))],
        ),
        (
            component("grafana", dashboards=[{"name": "a", "configMap": "boards"}]),
            [Reference("ConfigMap", "boards", ("dashboard.json",))],
        ),
        (component("prometheus", storage={"storageClassName": "fast"}), [Reference("StorageClass", "fast")]),
        (component("prometheus", imagePullSecrets=["reg"]), [Reference("Secret", "reg")]),
        (
            {**component("prometheus"), "global": {"imagePullSecrets": ["reg"], "storageClass": "fast"}},
            [Reference("Secret", "reg"), Reference("StorageClass", "fast")],
        ),
        # Issued by cert-manager after the Ingress exists: waiting for it would wait for ever.
        (component("grafana", ingress={"host": "g", "tls": {"secretName": "cert"}}), []),
        (
            {"components": {"prometheus": {}, "grafana": {"enabled": False, "adminPassword": ref("a", "k")}}},
            [],
        ),
        (
            {**component("prometheus"), "security": {"tls": {"secretName": "mtls"}}},
            [Reference("Secret", "mtls", ("ca.crt", "tls.crt", "tls.key"))],
        ),
    ],
)
def test_references_of(raw: dict[str, Any], expected: list[Reference]) -> None:
    assert needed(raw) == expected


def test_each_object_comes_once_with_all_its_keys() -> None:
    raw = {
        "components": {
            "grafana": {"adminPassword": ref("all", "grafana")},
            "tempo": {"extraEnv": [{"name": "A", "valueFrom": ref("all", "tempo")}]},
        }
    }
    assert needed(raw) == [Reference("Secret", "all", ("grafana", "tempo"))]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"stackledger.io/allow": "prod"}, True),
        ({"stackledger.io/allow": "ANY"}, True),
        ({"stackledger.io/allow": "stage"}, False),
        ({"stackledger.io/allow": ""}, False),
        ({"stackledger.io/allow": "any"}, False),
        ({}, False),
    ],
)
def test_a_secret_is_used_only_where_its_label_lets_it(labels: dict[str, str], expected: bool) -> None:
    assert granted(labels, "prod") is expected


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding.reason, finding.subject) for finding in change_findings(spec_of(before), spec_of(after))]


def test_a_volume_cannot_shrink_and_nothing_is_deleted_for_it() -> None:
    before, after = component("loki", storage={"size": "20Gi"}), component("loki", storage={"size": "19Gi"})
    assert changed(before, after) == [("StorageShrink", "spec.components.loki.storage.size")]
    assert changed(after, before) == []
    # The default has a size as well.
    assert changed(before, component("loki")) == [("StorageShrink", "spec.components.loki.storage.size")]


def test_one_size_in_two_units_is_no_change() -> None:
    assert changed(component("loki", storage={"size": "1Gi"}), component("loki", storage={"size": "1024Mi"})) == []


def test_a_storage_class_cannot_be_changed_wherever_it_was_set() -> None:
    before = {**component("loki"), "global": {"storageClass": "slow"}}
    after = {**component("loki"), "global": {"storageClass": "fast"}}
    assert changed(before, after) == [("ImmutableField", "spec.components.loki.storage.storageClassName")]


def test_a_schema_period_can_be_added_and_not_changed() -> None:
    old = {"version": "v12", "effectiveDate": "2023-01-01"}
    new = {"version": "v13", "effectiveDate": "2030-01-01"}
    assert changed(component("loki", schema=[old]), component("loki", schema=[old, new])) == []
    assert changed(component("loki", schema=[old]), component("loki", schema=[new])) == [
        ("ImmutableField", "spec.components.loki.schema")
    ]


def test_a_refused_downgrade_is_among_the_findings_until_it_is_allowed() -> None:
    before, after = component("grafana", version="13.2.2"), component("grafana", version="12.4.0")
    assert changed(before, after) == [("DowngradeRefused", "spec.components.grafana.version")]
    assert changed(before, {**after, "allowDowngrade": True}) == []


def test_a_component_that_comes_or_goes_is_no_change() -> None:
    assert changed(component("loki", storage={"size": "20Gi"}), component("tempo", storage={"size": "1Gi"})) == []
