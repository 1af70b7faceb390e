"""Each CEL rule of the resource definition with an object it lets pass and one it refuses, by an independent CEL."""

from typing import Any

import pytest

from tests.api.admission import refused, root_schema
from tests.api.structural import nodes

PROMETHEUS: dict[str, Any] = {"components": {"prometheus": {}}}


def component(name: str, **fields: Any) -> dict[str, Any]:
    return {"components": {name: fields}}


#: Words of the message -> (spec that passes, spec that is refused, spec before or None).
FIXTURES: dict[str, tuple[Any, Any, Any]] = {
    "at least one component": (
        {"components": {}, "alerting": {"alertmanager": {}}},
        {"components": {"loki": {"enabled": False}}, "alerting": {"alertmanager": {"enabled": False}}},
        None,
    ),
    "requests.cpu is more": (
        component("loki", resources={"requests": {"cpu": "500m"}, "limits": {"cpu": 1}}),
        component("loki", resources={"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}),
        None,
    ),
    "requests.memory is more": (
        component("loki", resources={"requests": {"memory": "1G"}, "limits": {"memory": "1Gi"}}),
        component("loki", resources={"requests": {"memory": "1Gi"}, "limits": {"memory": "1G"}}),
        None,
    ),
    "storage.size cannot shrink": (
        component("prometheus", storage={"size": "20Gi"}),
        component("prometheus", storage={"size": "10Gi"}),
        component("prometheus", storage={"size": "20Gi"}),
    ),
    "storage.storageClassName cannot be changed": (
        component("prometheus", storage={"storageClassName": "a"}),
        component("prometheus", storage={"storageClassName": "b"}),
        component("prometheus", storage={"storageClassName": "a"}),
    ),
    "loki.replicas above 1": (
        component("loki", replicas=2, s3={"bucket": "logs"}),
        component("loki", replicas=2, s3={"bucket": "logs", "enabled": False}),
        None,
    ),
    "tempo.replicas above 1": (
        component("tempo", replicas=2, s3={"bucketName": "logs"}),
        component("tempo", replicas=2),
        None,
    ),
    "grafana.replicas above 1": (
        component("grafana", replicas=2, database={"host": "db"}),
        component("grafana", replicas=2),
        None,
    ),
    "s3: bucket is needed": (
        component("loki", s3={"enabled": False}),
        component("loki", s3={"region": "eu-central-1"}),
        None,
    ),
    "give either value or valueFrom": (
        component("loki", extraEnv=[{"name": "A", "value": "1"}]),
        component("loki", extraEnv=[{"name": "A"}]),
        None,
    ),
    "ingress.host is needed": (
        component("grafana", ingress={"enabled": False}),
        component("grafana", ingress={"className": "nginx"}),
        None,
    ),
    "type s3 needs s3": (
        {**PROMETHEUS, "backup": {"destination": {"type": "s3", "s3": {"bucket": "backups"}}}},
        {**PROMETHEUS, "backup": {"destination": {"type": "s3"}}},
        None,
    ),
}
NAME_MESSAGES = ("the name may have at most", "the name must start with a letter")


@pytest.mark.parametrize("words", FIXTURES)
def test_a_rule_lets_one_pass_and_refuses_another_with_its_remedy(words: str) -> None:
    good, bad, before = FIXTURES[words]
    assert refused(good, old=before) == []
    errors = refused(bad, old=before)
    assert errors
    assert all(words in error for error in errors)


def test_every_rule_has_its_two_objects() -> None:
    messages = {
        rule["message"] for _, node in nodes(root_schema()) for rule in node.get("x-kubernetes-validations", ())
    }
    covered = (*FIXTURES, *NAME_MESSAGES)
    assert [message for message in messages if not any(words in message for words in covered)] == []
    assert [words for words in covered if not any(words in message for message in messages)] == []


def test_every_message_says_what_to_do() -> None:
    for _, node in nodes(root_schema()):
        for rule in node.get("x-kubernetes-validations", ()):
            assert any(
                verb in rule["message"]
                for verb in ("set ", "give ", "raise ", "name the ", "choose ", "needs ", "for example")
            )
            assert len(rule["message"]) < 200


def test_a_volume_may_grow() -> None:
    assert refused(component("loki", storage={"size": "1Ti"}), old=component("loki", storage={"size": "900Gi"})) == []


def test_a_storage_class_cannot_be_added_or_taken_away_later() -> None:
    with_class, without = component("loki", storage={"storageClassName": "a"}), component("loki", storage={})
    assert refused(with_class, old=without)
    assert refused(without, old=with_class)
