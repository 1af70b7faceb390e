"""The status subresource: who may write what through which door."""

from reconciler.core.ownership import owned_digest
from tests.contract.bodies import config_map, platform, stateful_set, widget, with_metadata
from tests.contract.server import JSON_PATCH, MERGE, Object, Server


def meta(item: Object) -> Object:
    found: Object = item["metadata"]
    return found


def condition(kind: str = "Ready", status: str = "True", **fields: str) -> Object:
    """A condition of a Widget."""
    return {"type": kind, "status": status, "reason": "Because", **fields}


def with_status(body: Object, **status: object) -> Object:
    """What an apply of the status sends: identity and status."""
    return {**{key: body[key] for key in ("apiVersion", "kind", "metadata")}, "status": status}


def entries(item: Object) -> dict[tuple[str, str], Object]:
    """(manager, subresource) -> fields."""
    return {(one["manager"], one.get("subresource", "")): one["fieldsV1"] for one in meta(item)["managedFields"]}


def test_a_status_is_applied_under_a_manager_of_its_own(server: Server) -> None:
    first = server.apply(widget(size=2)).ok()
    done = server.apply(with_status(widget(), phase="Ready", conditions=[condition()]), "stackledger-status", "status")
    item = done.ok()
    assert item["status"]["phase"] == "Ready"
    assert item["spec"] == {"size": 2}
    assert meta(item)["generation"] == 1
    assert entries(item) == {
        ("stackledger", ""): {"f:spec": {"f:size": {}}},
        ("stackledger-status", "status"): {
            "f:status": {
                "f:phase": {},
                "f:conditions": {'k:{"type":"Ready"}': {".": {}, "f:type": {}, "f:status": {}, "f:reason": {}}},
            }
        },
    }
    assert owned_digest(item) == owned_digest(first)


def test_a_status_that_changes_nothing_writes_nothing(server: Server) -> None:
    server.create(widget()).ok()
    body = with_status(widget(), phase="Ready", conditions=[condition()])
    first = server.apply(body, "stackledger-status", "status", force=True).ok()
    assert server.apply(body, "stackledger-status", "status", force=True).ok() == first


def test_a_condition_no_longer_applied_goes_and_one_of_others_stays(server: Server) -> None:
    server.create(widget()).ok()
    server.apply(with_status(widget(), conditions=[condition("Theirs")]), "other", "status").ok()
    both = with_status(widget(), conditions=[condition("Ready"), condition("Degraded")])
    server.apply(both, "stackledger-status", "status").ok()
    item = server.apply(with_status(widget(), conditions=[condition("Ready")]), "stackledger-status", "status").ok()
    assert sorted(one["type"] for one in item["status"]["conditions"]) == ["Ready", "Theirs"]


def test_the_status_door_lets_no_spec_and_no_metadata_through(server: Server) -> None:
    server.create(with_metadata(widget(size=1), labels={"a": "1"})).ok()
    body = with_metadata({**widget(size=4), "status": {"phase": "x"}}, labels={"a": "2"}, finalizers=["example.com/f"])
    for item in (
        server.apply(body, "one", "status", force=True).ok(),
        server.patch(body, {**body, "status": {"phase": "y"}}, MERGE, "status").ok(),
    ):
        assert item["spec"] == {"size": 1}
        assert meta(item)["labels"] == {"a": "1"}
        assert "finalizers" not in meta(item)
        assert meta(item)["generation"] == 1


def test_the_front_door_lets_no_status_through(server: Server) -> None:
    server.create({**widget(size=1), "status": {"phase": "x"}}).ok()
    for answer in (
        server.apply({**widget(size=1), "status": {"phase": "x"}}, "one"),
        server.patch(widget(), {"status": {"phase": "x"}}),
        server.patch(widget(), [{"op": "add", "path": "/status/phase", "value": "x"}], JSON_PATCH),
    ):
        assert answer.ok()["status"] == {"observedGeneration": -1}
    assert all("status" not in str(fields) for fields in entries(server.get(widget()).ok()).values())


def test_a_status_needs_an_object(server: Server) -> None:
    answer = server.apply(with_status(widget(), phase="x"), "one", "status")
    assert answer.refusal() == (404, "NotFound", 'widgets.example.com "w1" not found')


def test_a_kind_without_the_door_has_none(server: Server) -> None:
    server.create(config_map()).ok()
    answer = server.patch(config_map(), {"data": {"a": "2"}}, subresource="status")
    assert answer.refusal()[:2] == (404, "NotFound")


def test_a_status_is_checked_by_the_schema(server: Server) -> None:
    server.create(platform()).ok()
    answer = server.patch(platform(), {"status": {"observedGeneration": "one"}}, subresource="status")
    assert answer.refusal()[:2] == (422, "Invalid")
    assert [field for _, field, _ in answer.causes if field != "<nil>"] == ["status.observedGeneration"]


def test_an_unknown_field_of_a_status_is_dropped_with_a_warning(server: Server) -> None:
    server.create(widget()).ok()
    answer = server.patch(widget(), {"status": {"phase": "x", "mood": "fine"}}, subresource="status")
    assert answer.ok()["status"] == {"phase": "x", "observedGeneration": -1}
    assert answer.warning == '299 - "unknown field \\"status.mood\\""'


def test_a_status_with_a_stale_resource_version_is_a_conflict(server: Server) -> None:
    first = server.create(widget()).ok()
    server.patch(widget(), {"metadata": {"labels": {"a": "b"}}}).ok()
    body = {**first, "status": {"phase": "x"}}
    assert server.replace(body, "status").refusal()[:2] == (409, "Conflict")


def test_the_status_door_of_a_workload_lets_no_spec_through(server: Server) -> None:
    server.create(stateful_set()).ok()
    patch = {"spec": {"revisionHistoryLimit": 3}, "status": {"collisionCount": 1}}
    item = server.patch(stateful_set(), patch, subresource="status").ok()
    assert item["spec"]["revisionHistoryLimit"] == 10
    assert item["status"]["collisionCount"] == 1
    assert meta(item)["generation"] == 1


def test_reading_the_status_door_answers_the_whole_object(server: Server) -> None:
    server.create(widget(size=2)).ok()
    assert server.get(widget(), "status").ok() == server.get(widget()).ok()
