"""Events of `events.k8s.io/v1`: what the announcer must obey to be heard."""

from datetime import UTC, datetime
from typing import Any

import pytest

from projections.state import PlatformState
from reconciler.core.announce import NOTE_LENGTH_MAX, Announcement, event_object
from tests.contract.bodies import platform
from tests.contract.server import Object, Server

AT = datetime(2026, 3, 1, 12, 0, 0, 120, tzinfo=UTC)


def announced(server: Server, **fields: Any) -> Object:
    """What the announcer sends, with fields changed; None leaves one out."""
    state = PlatformState(stream_id="5f3e9d1c-0000-4000-8000-000000000001", name="p1", namespace=server.namespace)
    news = Announcement("Warning", "InstallFailed", "x" * 2 * NOTE_LENGTH_MAX, "Transition")
    body = event_object(state, news, 17, AT, "replica-0" * 40) | fields
    return {key: value for key, value in body.items() if value is not None}


def test_what_the_announcer_sends_is_taken_and_shown_by_kubectl(server: Server) -> None:
    made = server.create(platform()).ok()
    body = announced(server)
    body["regarding"] = {**body["regarding"], "uid": made["metadata"]["uid"]}
    server.create(body, fieldValidation="Strict").ok()
    assert "InstallFailed" in server.kubectl.ok("describe", "obsp", "p1")
    assert "InstallFailed" in server.kubectl.ok("get", "events")


def test_an_event_is_read_in_either_group(server: Server) -> None:
    body = announced(server, note="short")
    made = server.create(body).ok()
    core = server.get({**body, "apiVersion": "v1"}).ok()
    assert (core["message"], core["reportingComponent"]) == (made["note"], made["reportingController"])
    assert core["involvedObject"] == made["regarding"]
    assert core["eventTime"] == made["eventTime"] == "2026-03-01T12:00:00.000120Z"
    assert core["metadata"]["uid"] == made["metadata"]["uid"]


def test_one_published_twice_is_refused(server: Server) -> None:
    body = announced(server)
    server.create(body).ok()
    assert server.create(body).refusal() == (
        409,
        "AlreadyExists",
        f'events.events.k8s.io "{body["metadata"]["name"]}" already exists',
    )


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"eventTime": None}, ("eventTime", "Required value")),
        ({"reportingInstance": None}, ("reportingInstance", "Required value")),
        (
            {"reportingInstance": "i" * 129},
            ("reportingInstance", 'Invalid value: "": can have at most 128 characters'),
        ),
        ({"action": None}, ("action", "Required value")),
        ({"action": "a" * 129}, ("action", 'Invalid value: "": can have at most 128 characters')),
        ({"reason": None}, ("reason", "Required value")),
        ({"reason": "r" * 129}, ("reason", 'Invalid value: "": can have at most 128 characters')),
        ({"type": "Odd"}, ("type", 'Invalid value: "": has invalid value: Odd')),
        ({"note": "n" * 1025}, ("message", 'Invalid value: "": can have at most 1024 characters')),
        (
            {"regarding": {"kind": "Node", "name": "n"}},
            ("involvedObject.namespace", 'Invalid value: "": does not match event.namespace'),
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_event_that_breaks_a_rule_is_refused(server: Server, fields: Object, wrong: tuple[str, str]) -> None:
    answer = server.create(announced(server, **fields))
    assert answer.status == 422, answer.body
    assert [(field, message) for _, field, message in answer.causes] == [wrong]


def test_the_time_of_an_event_has_microseconds(server: Server) -> None:
    answer = server.create(announced(server, eventTime="2026-03-01T12:00:00Z"))
    assert answer.refusal() == (
        400,
        "BadRequest",
        (
            'Event in version "v1" cannot be handled as a Event: parsing time "2026-03-01T12:00:00Z" as '
            '"2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000"'
        ),
    )


def test_an_event_cannot_be_changed_but_for_its_series(server: Server) -> None:
    body = announced(server)
    server.create(body).ok()
    answer = server.patch(body, {"note": "other"})
    assert [(field, message) for _, field, message in answer.causes] == [
        ("message", 'Invalid value: "other": field is immutable')
    ]
    series = {"count": 2, "lastObservedTime": "2026-03-01T12:00:01.000000Z"}
    assert server.patch(body, {"series": series}).ok()["series"] == series


def test_no_event_can_be_told_in_a_namespace_that_goes(server: Server) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{server.namespace}-b"}}
    server.create(body).ok()
    held = {**platform(), "metadata": {"name": "p1", "namespace": f"{server.namespace}-b", "finalizers": ["a.b/c"]}}
    server.create(held).ok()
    server.delete(body)
    told = announced(server)
    told["metadata"] = {**told["metadata"], "namespace": f"{server.namespace}-b"}
    told["regarding"] = {**told["regarding"], "namespace": f"{server.namespace}-b"}
    answer = server.create(told)
    server.patch(held, {"metadata": {"finalizers": None}}).ok()
    assert answer.refusal()[:2] == (403, "Forbidden")
