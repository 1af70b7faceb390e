"""Quantities, and what manifests take of a ResourceQuota."""

from decimal import Decimal

import pytest

from components.quantities import format_quantity, parse_quantity
from components.requirements import quota_needs
from tests.components.samples import MINIMAL, rendered


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", "1"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("500m", "0.5"),
        ("100u", "0.0001"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("10Gi", str(10 * 1024**3)),
        ("1.5Gi", str(1536 * 1024**2)),
        ("2e3", "2000"),
        ("1E2", "100"),
        ("1E", str(10**18)),
        ("-1Mi", str(-(1024**2))),
    ],
)
def test_quantities_are_exact(text: str, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "1GB", "Gi", "1 Gi", "e3", "1e", "0x10", "NaN", "1e9999", "1gi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"quantity|unit"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["10Gi", "1536Mi", "500m", "3", "0", "1Ki"])
def test_quantities_are_written_as_people_write_them(text: str) -> None:
    assert format_quantity(parse_quantity(text)) == text


def test_a_minimal_platform_needs_one_pod_one_volume_and_its_objects() -> None:
    needs = quota_needs(rendered(MINIMAL))
    assert needs["pods"] == 1
    assert needs["persistentvolumeclaims"] == 1
    assert needs["requests.storage"] == parse_quantity("10Gi")
    assert needs["services"] == 2
    assert needs["configmaps"] == 1
    assert needs["count/statefulsets.apps"] == 1
    assert "secrets" not in needs
    assert "requests.cpu" not in needs


def test_replicas_multiply_and_limits_stand_in_for_missing_requests() -> None:
    block = {
        "replicas": 3,
        "resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "storage": {"size": "2Gi", "storageClassName": "gp3"},
    }
    needs = quota_needs(rendered({"components": {"alertmanager": block}}))
    assert needs["requests.cpu"] == needs["cpu"] == Decimal("0.75")
    assert needs["limits.cpu"] == 3
    assert needs["requests.memory"] == needs["limits.memory"] == parse_quantity("3Gi")
    assert needs["gp3.storageclass.storage.k8s.io/requests.storage"] == parse_quantity("6Gi")
    assert needs["gp3.storageclass.storage.k8s.io/persistentvolumeclaims"] == 3


def test_services_that_open_ports_on_nodes_count_as_such() -> None:
    needs = quota_needs(rendered({"components": {"prometheus": {"service": {"type": "LoadBalancer"}}}}))
    assert needs["services.loadbalancers"] == 1
    assert needs["services.nodeports"] == 1
