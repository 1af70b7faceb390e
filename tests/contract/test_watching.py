"""Watches: what they begin with, what they show, in which order, and how they end."""

import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.samples import claimed, config_map, platform, widget
from tests.contract.server import Object, Server, eventually

TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
WITHOUT_INITIAL_EVENTS = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


def revision(listing: Object) -> str:
    return str(listing["metadata"]["resourceVersion"])


def now_at(server: Server, what: Object | None = None) -> str:
    return revision(server.get(what or widget()).ok())


def watched(server: Server, count: int, what: Object | None = None, **params: Any) -> list[Object]:
    """The first events of a watch of a collection."""
    found: list[Object] = []
    # Left alone, a watch would go on for half an hour.
    for event in server.lines(server.path(what or widget()), {"timeoutSeconds": 8, **params}):
        found.append(event)
        if len(found) == count:
            break
    return found


def brief(events: list[Object]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


def all_of(server: Server, what: Object | None = None, **params: Any) -> list[Object]:
    """All events until the server ends the watch."""
    return list(server.lines(server.path(what or widget()), {"timeoutSeconds": 1, **params}))


# -- what it begins with -------------------------------------------------------------------------------------------


def test_a_watch_from_a_list_shows_what_came_after_it_in_order(server: Server) -> None:
    server.create(widget("old")).ok()
    since = now_at(server)
    server.create(widget("a")).ok()
    server.patch(widget("a"), {"spec": {"size": 2}}).ok()
    server.create(widget("b")).ok()
    server.delete(widget("a")).ok()
    events = watched(server, 4, resourceVersion=since)
    assert brief(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a")]
    revisions = [int(revision(event["object"])) for event in events]
    assert revisions == sorted(set(revisions))
    assert int(since) < revisions[0]
    assert [event["object"]["spec"]["size"] for event in events] == [1, 2, 1, 2]


@pytest.mark.parametrize("params", [{}, {"resourceVersion": "0"}], ids=["unset", "zero"])
def test_a_watch_from_nowhere_begins_with_what_is_there(server: Server, params: Object) -> None:
    for name in ("b", "a"):
        server.create(widget(name)).ok()
    at = now_at(server)
    # A cache may lag behind for a moment: with resourceVersion 0 that is allowed.
    eventually(lambda: len(server.get(widget(), resourceVersion="0").ok()["items"]) == 2, "both in the cache")
    events = watched(server, 2, **params)
    assert brief(events) == [("ADDED", "a"), ("ADDED", "b")]
    assert int(revision(events[0]["object"])) <= int(at)


def test_what_a_watch_shows_is_whole(server: Server) -> None:
    created = server.create(config_map("a", {"x": "1"})).ok()
    (event,) = watched(server, 1, config_map(), resourceVersion="0", fieldSelector="metadata.name=a")
    assert event == {"type": "ADDED", "object": created}


def test_a_streamed_list_ends_with_a_bookmark_and_goes_on_as_a_watch(server: Server) -> None:
    for name in ("b", "a"):
        server.create(widget(name)).ok()
    at = now_at(server)
    params = {"sendInitialEvents": True, "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": True}
    events: list[Object] = []
    for event in server.lines(server.path(widget()), {**params, "timeoutSeconds": 8}):
        events.append(event)
        if event["type"] == "BOOKMARK":
            server.create(widget("c")).ok()
        if len(events) == 4:
            break
    assert brief(events) == [("ADDED", "a"), ("ADDED", "b"), ("BOOKMARK", ""), ("ADDED", "c")]
    mark = events[2]["object"]
    assert mark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(revision(mark)) >= int(at)
    assert (mark["kind"], mark["apiVersion"]) == ("Widget", "example.com/v1beta1")


def test_a_watch_without_initial_events_begins_with_what_comes(server: Server) -> None:
    server.create(widget("a")).ok()
    now_at(server)
    params = {"sendInitialEvents": False, "resourceVersionMatch": "NotOlderThan", "timeoutSeconds": 2}
    seen: list[Object] = []
    with background(lambda: seen.extend(server.lines(server.path(widget()), params))):
        time.sleep(0.4)
        server.create(widget("b")).ok()
    assert brief(seen) == [("ADDED", "b")]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"sendInitialEvents": "true"},
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            {"resourceVersionMatch": "NotOlderThan", "resourceVersion": "5"},
            "resourceVersionMatch: Forbidden: " + WITHOUT_INITIAL_EVENTS,
        ),
    ],
)
def test_watch_options_that_make_no_sense_are_invalid(server: Server, params: dict[str, str], message: str) -> None:
    code, reason, text = server.get(widget(), watch=1, timeoutSeconds=1, **params).refusal()
    assert (code, reason) == (422, "Invalid")
    assert text == f'ListOptions.meta.k8s.io "" is invalid: {message}'


# -- what it shows -------------------------------------------------------------------------------------------------


def test_deleted_carries_the_last_state_under_a_new_revision(server: Server) -> None:
    created = server.create(widget("a", {"x": "1"}, size=3)).ok()
    since = now_at(server)
    server.delete(widget("a")).ok()
    (event,) = watched(server, 1, resourceVersion=since)
    assert event["type"] == "DELETED"
    gone = event["object"]
    assert int(revision(gone)) > int(revision(created))
    assert gone == {**created, "metadata": {**created["metadata"], "resourceVersion": revision(gone)}}


def test_a_held_deletion_is_modified_first_and_deleted_when_released(server: Server) -> None:
    body = widget("a")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    server.create(body).ok()
    since = now_at(server)
    server.delete(widget("a")).ok()
    server.patch(widget("a"), {"metadata": {"finalizers": None}}).ok()
    events = watched(server, 2, resourceVersion=since)
    assert brief(events) == [("MODIFIED", "a"), ("DELETED", "a")]
    assert events[0]["object"]["metadata"]["deletionTimestamp"]
    assert events[0]["object"]["metadata"]["generation"] == 2
    # The write that let go of it is the one that removed it: what is shown is the state before.
    assert events[1]["object"]["metadata"]["finalizers"] == ["example.com/hold"]


def test_a_selector_makes_added_and_deleted_of_changes(server: Server) -> None:
    since = now_at(server)
    server.create(widget("a", {"x": "1"})).ok()
    server.create(widget("b")).ok()
    server.patch(widget("b"), {"metadata": {"labels": {"x": "1"}}}).ok()
    changed = server.patch(widget("a"), {"metadata": {"labels": {"x": "2"}}, "spec": {"size": 2}}).ok()
    server.patch(widget("a"), {"spec": {"size": 3}}).ok()
    server.delete(widget("b")).ok()
    events = watched(server, 4, resourceVersion=since, labelSelector="x=1")
    assert brief(events) == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a"), ("DELETED", "b")]
    gone = events[2]["object"]
    # What it became is none of the watcher's business; when it left is.
    assert (gone["metadata"]["labels"], gone["spec"]["size"]) == ({"x": "1"}, 1)
    assert revision(gone) == revision(changed)


def test_one_object_is_watched_by_its_name(server: Server) -> None:
    since = now_at(server)
    for name in ("a", "b"):
        server.create(widget(name)).ok()
        server.delete(widget(name)).ok()
    selected = watched(server, 2, resourceVersion=since, fieldSelector="metadata.name=b")
    assert brief(selected) == [("ADDED", "b"), ("DELETED", "b")]


def test_a_watch_of_one_path_is_a_read(server: Server) -> None:
    created = server.create(widget("a")).ok()
    assert server.get(widget("a"), watch=1).ok() == created
    assert server.get(widget("b"), watch=1).refusal()[:2] == (404, "NotFound")


def test_a_watch_of_one_namespace_does_not_see_another(server: Server) -> None:
    since = now_at(server, config_map())
    other: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{server.namespace}-x"}}
    server.create(other).ok()
    body = config_map("elsewhere", {"of": server.namespace})
    body["metadata"]["namespace"] = other["metadata"]["name"]
    server.create(body).ok()
    server.create(config_map("here", {"of": server.namespace})).ok()
    select = {"labelSelector": f"of={server.namespace}", "resourceVersion": since}
    assert brief(watched(server, 1, config_map(), **select)) == [("ADDED", "here")]
    everywhere = server.lines("/api/v1/configmaps", {**select, "timeoutSeconds": 1})
    assert brief(list(everywhere)) == [("ADDED", "elsewhere"), ("ADDED", "here")]
    server.delete(other)


def test_both_served_versions_are_watched_in_their_own_words(server: Server) -> None:
    server.create(platform("a")).ok()
    for version in ("v1alpha1", "v1beta1"):
        what = platform("", f"observability.io/{version}")
        (event,) = watched(server, 1, what, resourceVersion="0")
        assert event["object"]["apiVersion"] == f"observability.io/{version}"


def test_a_write_that_changes_nothing_is_no_event(server: Server) -> None:
    # The first write after a creation stores the defaults of the status; from then on they are there.
    server.create(widget("a")).ok()
    server.patch(widget("a"), {"spec": {"size": 3}}).ok()
    since = now_at(server)
    server.patch(widget("a"), {"spec": {"size": 3}}).ok()
    server.patch(widget("a"), {"spec": {"size": 4}}, dryRun="All").ok()
    server.patch(widget("a"), {"metadata": {"labels": {"done": "1"}}}).ok()
    (event,) = watched(server, 1, resourceVersion=since)
    assert event["object"]["metadata"]["labels"] == {"done": "1"}


def test_a_status_write_is_an_event_and_no_new_generation(server: Server) -> None:
    server.create(platform("a")).ok()
    since = now_at(server, platform(""))
    server.patch(platform("a"), {"status": {"phase": "Pending"}}, subresource="status").ok()
    (event,) = watched(server, 1, platform(""), resourceVersion=since)
    assert event["type"] == "MODIFIED"
    assert event["object"]["status"]["phase"] == "Pending"
    assert event["object"]["metadata"]["generation"] == 1


def test_many_watches_see_the_same_events(server: Server) -> None:
    since = now_at(server)
    seen: list[list[tuple[str, str]]] = [[] for _ in range(8)]

    def follow(at: int) -> None:
        seen[at].extend(brief(watched(server, 3, resourceVersion=since)))

    threads = [threading.Thread(target=follow, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    server.create(widget("a")).ok()
    server.patch(widget("a"), {"spec": {"size": 2}}).ok()
    server.delete(widget("a")).ok()
    for thread in threads:
        thread.join(10)
    assert seen == [[("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]] * 8


# -- forms ---------------------------------------------------------------------------------------------------------


def formed(server: Server, path: str, params: Object, accept: str) -> list[Object]:
    """Events in another form."""
    query = {"watch": "1", "timeoutSeconds": 1, **params}
    answer = server.request("GET", path, params=query, accept=accept)
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.raw.splitlines()]


def test_a_watch_as_a_table_names_the_columns_once(server: Server) -> None:
    since = now_at(server)
    server.create(widget("a")).ok()
    server.delete(widget("a")).ok()
    events = formed(server, server.path(widget()), {"resourceVersion": since}, TABLE)
    assert [(event["type"], event["object"]["kind"]) for event in events] == [("ADDED", "Table"), ("DELETED", "Table")]
    columns = [column["name"] for column in events[0]["object"]["columnDefinitions"]]
    assert columns == ["Name", "Ready", "Size", "Message", "Age"]
    assert not events[1]["object"]["columnDefinitions"]
    assert [event["object"]["rows"][0]["cells"][0] for event in events] == ["a", "a"]
    assert events[0]["object"]["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_a_watch_of_metadata_alone(server: Server) -> None:
    since = now_at(server)
    server.create(widget("a")).ok()
    (event,) = formed(server, server.path(widget()), {"resourceVersion": since}, PARTIAL)
    assert (event["type"], event["object"]["kind"]) == ("ADDED", "PartialObjectMetadata")
    assert "spec" not in event["object"]


# -- how it ends ---------------------------------------------------------------------------------------------------


def test_a_watch_ends_when_its_time_is_up_without_a_word(server: Server) -> None:
    began = time.monotonic()
    assert all_of(server, resourceVersion=now_at(server)) == []
    assert 0.9 < time.monotonic() - began < 3


def test_bookmarks_come_where_they_are_allowed_and_carry_a_revision_alone(server: Server) -> None:
    since = now_at(server, config_map())
    server.create(widget("a")).ok()
    # Long enough for the one that is sent two seconds before the end.
    events: dict[str, list[Object]] = {}

    def follow(allowed: str) -> None:
        params = {"resourceVersion": since, "allowWatchBookmarks": allowed, "fieldSelector": "metadata.name=none"}
        events[allowed] = all_of(server, config_map(), timeoutSeconds=5, **params)

    with background(lambda: follow("true")):
        follow("false")
    assert events["false"] == []
    assert {event["type"] for event in events["true"]} == {"BOOKMARK"}
    mark = events["true"][-1]["object"]
    assert (mark["kind"], mark["apiVersion"]) == ("ConfigMap", "v1")
    assert int(revision(mark)) >= int(since)
    assert set(mark) == {"kind", "apiVersion", "metadata"}
    assert set(mark["metadata"]) == {"resourceVersion"}


def test_a_watch_from_the_future_is_silent_until_it_comes(server: Server) -> None:
    at = int(now_at(server)) + 100_000
    with background(lambda: server.create(widget("a")).ok()):
        assert all_of(server, resourceVersion=str(at)) == []


@pytest.mark.parametrize("what", [widget(), platform("")], ids=["widget", "platform"])
def test_a_watch_from_before_anything_is_known_is_an_error_event_with_410(server: Server, what: Object) -> None:
    (event,) = all_of(server, what, resourceVersion="1")
    assert event["type"] == "ERROR"
    status = event["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert re.fullmatch(r"too old resource version: 1 \(\d+\)", status["message"])


def test_a_streamed_list_from_the_future_is_a_timeout(server: Server) -> None:
    at = int(now_at(server)) + 100_000_000
    params: Object = {"sendInitialEvents": True, "resourceVersionMatch": "NotOlderThan", "resourceVersion": str(at)}
    (event,) = all_of(server, timeoutSeconds=6, **params)
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (504, "Timeout")
    assert event["object"]["message"].startswith(f"Timeout: Too large resource version: {at}, current: ")


def test_a_resource_version_that_is_no_number_is_refused(server: Server) -> None:
    code, reason, message = server.get(widget(), watch=1, resourceVersion="abc").refusal()
    assert (code, reason) == (500, "")
    assert message == 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'


def test_a_selector_that_does_not_parse_is_refused_before_the_watch_begins(server: Server) -> None:
    assert server.get(widget(), watch=1, labelSelector="=").refusal()[:2] == (400, "BadRequest")
    assert server.get(widget(), watch=1, fieldSelector="spec.size=1").refusal()[:2] == (400, "BadRequest")


def test_a_kind_that_is_not_served_cannot_be_watched(server: Server) -> None:
    path = "/apis/example.com/v1beta1/gadgets"
    assert server.request("GET", path, params={"watch": 1}).status == 404


def test_the_stream_is_json_in_lines_and_in_chunks(server: Server) -> None:
    server.create(widget("a")).ok()
    answer = server.get(widget(), watch=1, timeoutSeconds=1, resourceVersion="0")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.raw.endswith(b"}\n")


def test_pods_of_a_workload_are_seen_coming_and_becoming_ready(server: Server) -> None:
    pods: Object = {"apiVersion": "v1", "kind": "Pod"}
    since = now_at(server, pods)
    server.create(claimed()).ok()
    seen: list[str] = []
    for event in server.lines(server.path(pods), {"resourceVersion": since, "timeoutSeconds": 20}, seconds=20):
        assert (event["object"]["kind"], event["object"]["apiVersion"]) == ("Pod", "v1")
        seen.append(event["type"])
        conditions = {one["type"]: one["status"] for one in event["object"].get("status", {}).get("conditions") or []}
        if conditions.get("Ready") == "True":
            break
    assert seen[0] == "ADDED"
    assert set(seen[1:]) == {"MODIFIED"}


class background:  # noqa: N801  it is used as a statement
    """Does something in a thread while the block runs, and waits for it at the end."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._thread = threading.Thread(target=act)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(20)
