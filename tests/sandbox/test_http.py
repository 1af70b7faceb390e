"""The stock Kubernetes client against the sandbox: watches, pages, faults, and what a socket can do wrong."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

from sandbox.kubeconfig import kubeconfig
from sandbox.server import SandboxServer
from tests.sandbox.conftest import widget, workload

_NAMESPACES = count(1)


@pytest.fixture(scope="module")
def api(server: SandboxServer) -> Any:
    """The client a user of Python has."""
    settings = client.Configuration()
    load: Any = config.load_kube_config_from_dict
    load(yaml.safe_load(kubeconfig(server.url)), client_configuration=settings)
    settings.retries = False
    return client.ApiClient(settings)


@pytest.fixture
def core(api: Any) -> Any:
    return client.CoreV1Api(api)


@pytest.fixture
def space(core: Any) -> str:
    """A namespace of the test's own."""
    name = f"http-{next(_NAMESPACES)}"
    core.create_namespace({"metadata": {"name": name}})
    return name


@pytest.fixture
def faultless(server: SandboxServer) -> Iterator[SandboxServer]:
    """The server, without faults after the test."""
    yield server
    server.sandbox.faults.clear()


def call(server: SandboxServer, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """One request; status and body."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    try:
        connection.request(method, path, data, named)
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text.startswith((b"{", b"[")) else text
    finally:
        connection.close()


def in_background(act: Callable[[], object], done: threading.Event) -> None:
    """Do something in a thread, and say when it is done."""

    def run() -> None:
        act()
        done.set()

    threading.Thread(target=run).start()


def control(server: SandboxServer, name: str, **fields: Any) -> None:
    """POST to the controls."""
    status, body = call(server, "POST", f"/sandbox/{name}", fields)
    assert status == 200, body


def test_the_client_creates_reads_patches_and_deletes(api: Any, core: Any, space: str) -> None:
    created = core.create_namespaced_config_map(space, {"metadata": {"name": "c"}, "data": {"a": "1"}})
    assert created.metadata.uid
    core.patch_namespaced_config_map("c", space, {"data": {"b": "2"}})
    assert core.read_namespaced_config_map("c", space).data == {"a": "1", "b": "2"}
    assert [item.metadata.name for item in core.list_namespaced_config_map(space).items] == ["c"]
    assert core.delete_namespaced_config_map("c", space)["status"] == "Success"
    with pytest.raises(ApiException) as refused:
        core.read_namespaced_config_map("c", space)
    assert refused.value.status == 404
    deployment = workload()
    deployment["metadata"]["namespace"] = space
    apps: Any = client.AppsV1Api(api)
    apps.create_namespaced_deployment(space, deployment)
    assert apps.read_namespaced_deployment_scale("web", space).spec.replicas == 1


def test_custom_objects_are_served_and_an_event_of_the_new_group_is_seen_in_the_old(
    api: Any, core: Any, space: str
) -> None:
    objects: Any = client.CustomObjectsApi(api)
    events: Any = client.EventsV1Api(api)
    body = widget()
    body["metadata"]["namespace"] = space
    made = objects.create_namespaced_custom_object("example.com", "v1beta1", space, "widgets", body)
    assert made["spec"] == {"size": 1}
    event = {
        "metadata": {"generateName": "w1-", "namespace": space},
        # Never a full second: the stock client would leave out the digits behind it, which the server insists on.
        "eventTime": "2026-03-01T12:00:00.000001Z",
        "regarding": {"kind": "Widget", "name": "w1", "namespace": space, "apiVersion": "example.com/v1beta1"},
        "type": "Normal",
        "reason": "Made",
        "action": "Make",
        "reportingController": "test",
        "reportingInstance": "t-1",
        "note": "seq=1",
    }
    events.create_namespaced_event(space, event)
    (found,) = core.list_namespaced_event(space, field_selector="involvedObject.name=w1").items
    assert (found.reason, found.message, found.reporting_component) == ("Made", "seq=1", "test")
    (again,) = events.list_namespaced_event(space).items
    assert (again.note, again.regarding.name) == ("seq=1", "w1")


def test_lists_come_in_pages_and_by_selector(core: Any, space: str) -> None:
    for number in range(5):
        labels = {"parity": str(number % 2)}
        core.create_namespaced_config_map(space, {"metadata": {"name": f"c{number}", "labels": labels}})
    first = core.list_namespaced_config_map(space, limit=2)
    assert [item.metadata.name for item in first.items] == ["c0", "c1"]
    assert first.metadata.remaining_item_count == 3
    second = core.list_namespaced_config_map(space, limit=2, _continue=first.metadata._continue)
    assert [item.metadata.name for item in second.items] == ["c2", "c3"]
    assert second.metadata.resource_version == first.metadata.resource_version
    last = core.list_namespaced_config_map(space, limit=2, _continue=second.metadata._continue)
    assert ([item.metadata.name for item in last.items], last.metadata._continue) == (["c4"], None)
    odd = core.list_namespaced_config_map(space, label_selector="parity in (1),!absent")
    assert [item.metadata.name for item in odd.items] == ["c1", "c3"]
    named = core.list_config_map_for_all_namespaces(field_selector=f"metadata.name=c2,metadata.namespace={space}")
    assert [item.metadata.name for item in named.items] == ["c2"]


def test_a_watch_follows_what_a_selector_sees(core: Any, space: str) -> None:
    revision = core.list_namespaced_config_map(space).metadata.resource_version
    core.create_namespaced_config_map(space, {"metadata": {"name": "a", "labels": {"x": "1"}}})
    core.create_namespaced_config_map(space, {"metadata": {"name": "b"}})
    core.patch_namespaced_config_map("b", space, {"metadata": {"labels": {"x": "1"}}})
    core.patch_namespaced_config_map("a", space, {"metadata": {"labels": {"x": "2"}}})
    core.delete_namespaced_config_map("b", space)
    watching: Any = watch
    stream = watching.Watch().stream(
        core.list_namespaced_config_map, space, resource_version=revision, label_selector="x=1", timeout_seconds=1
    )
    seen = [(event["type"], event["object"].metadata.name) for event in stream]
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a"), ("DELETED", "b")]


def test_a_watch_sends_a_bookmark_before_it_ends_in_time(server: SandboxServer, space: str) -> None:
    began = time.monotonic()
    path = f"/api/v1/namespaces/{space}/configmaps?watch=1&resourceVersion=1&timeoutSeconds=1&allowWatchBookmarks=true"
    status, body = call(server, "GET", path)
    assert (status, body["type"], body["object"]["kind"]) == (200, "BOOKMARK", "ConfigMap")
    assert int(body["object"]["metadata"]["resourceVersion"]) > 1
    assert 0.9 < time.monotonic() - began < 3


def test_thirty_watches_all_see_a_change_at_once(server: SandboxServer, core: Any, space: str) -> None:
    revision = core.list_namespaced_config_map(space).metadata.resource_version
    path = f"/api/v1/namespaces/{space}/configmaps?watch=1&resourceVersion={revision}&timeoutSeconds=2"
    seen: list[Any] = []
    threads = [threading.Thread(target=lambda: seen.append(call(server, "GET", path)[1])) for _ in range(30)]
    for thread in threads:
        thread.start()
    core.create_namespaced_config_map(space, {"metadata": {"name": "a"}})
    for thread in threads:
        thread.join(10)
    assert [event["object"]["metadata"]["name"] for event in seen] == ["a"] * 30


def test_an_expired_watch_is_an_error_event_with_410(faultless: SandboxServer, core: Any, space: str) -> None:
    control(faultless, "expire")
    path = f"/api/v1/namespaces/{space}/configmaps?watch=1&resourceVersion=1&timeoutSeconds=5"
    status, body = call(faultless, "GET", path)
    assert (status, body["type"], body["object"]["code"], body["object"]["reason"]) == (200, "ERROR", 410, "Expired")
    assert body["object"]["message"].startswith("too old resource version: 1 (")


def test_a_revision_from_the_future_is_504_for_a_list_and_silence_for_a_watch(
    server: SandboxServer, space: str
) -> None:
    path = f"/api/v1/namespaces/{space}/configmaps"
    status, body = call(server, "GET", f"{path}?resourceVersion=99999999")
    assert (status, body["reason"]) == (504, "Timeout")
    assert "Too large resource version: 99999999, current: " in body["message"]
    assert call(server, "GET", f"{path}?watch=1&resourceVersion=99999999&timeoutSeconds=1") == (200, b"")


def test_an_injected_error_is_answered_as_often_as_asked(faultless: SandboxServer, core: Any, space: str) -> None:
    control(faultless, "inject", status=429, verb="list", resource="configmaps", remaining=2, retry_after_seconds=7)
    for _ in range(2):
        with pytest.raises(ApiException) as refused:
            core.list_namespaced_config_map(space)
        assert (refused.value.status, dict(refused.value.headers or {})["Retry-After"]) == (429, "7")
    core.list_namespaced_config_map(space)
    core.list_namespaced_secret(space)


def test_a_call_can_take_effect_and_lose_its_answer(faultless: SandboxServer, space: str) -> None:
    control(faultless, "inject", verb="create", resource="configmaps", after=True)
    body = {"metadata": {"name": "lost"}}
    with pytest.raises(http.client.RemoteDisconnected):
        call(faultless, "POST", f"/api/v1/namespaces/{space}/configmaps", body)
    assert call(faultless, "GET", f"/api/v1/namespaces/{space}/configmaps/lost")[0] == 200
    control(faultless, "inject", verb="create", resource="configmaps", drop=True)
    with pytest.raises(http.client.RemoteDisconnected):
        call(faultless, "POST", f"/api/v1/namespaces/{space}/configmaps", {"metadata": {"name": "never"}})
    assert call(faultless, "GET", f"/api/v1/namespaces/{space}/configmaps/never")[0] == 404


def test_a_denied_call_is_worded_as_by_rbac(faultless: SandboxServer, core: Any, space: str) -> None:
    control(faultless, "deny", verb="get", resource="secrets")
    with pytest.raises(ApiException) as refused:
        core.read_namespaced_secret("s", space)
    assert json.loads(refused.value.body or "")["message"] == (
        'secrets "s" is forbidden: User "system:serviceaccount:stackledger-system:stackledger" cannot get resource '
        f'"secrets" in API group "" in the namespace "{space}"'
    )
    control(faultless, "allow", verb="get", resource="secrets")
    with pytest.raises(ApiException) as refused:
        core.read_namespaced_secret("s", space)
    assert refused.value.status == 404


def test_dropped_watches_end_and_silent_ones_say_nothing(faultless: SandboxServer, core: Any, space: str) -> None:
    path = f"/api/v1/namespaces/{space}/configmaps?watch=1&timeoutSeconds=20&allowWatchBookmarks=true"
    ended = threading.Event()
    watches = faultless.sandbox.faults.calls.get(("watch", "configmaps"), 0)
    in_background(lambda: call(faultless, "GET", path), ended)
    while faultless.sandbox.faults.calls.get(("watch", "configmaps"), 0) == watches:
        time.sleep(0.01)
    time.sleep(0.1)
    control(faultless, "drop-watches")
    assert ended.wait(5)
    revision = core.list_namespaced_config_map(space).metadata.resource_version
    control(faultless, "silence-watches")
    core.create_namespaced_config_map(space, {"metadata": {"name": "unseen"}})
    path = f"/api/v1/namespaces/{space}/configmaps?watch=1&timeoutSeconds=1&resourceVersion={revision}"
    assert call(faultless, "GET", path) == (200, b"")


def test_a_paused_server_answers_later(faultless: SandboxServer) -> None:
    control(faultless, "pause")
    answered = threading.Event()
    in_background(lambda: call(faultless, "GET", "/api/v1/pods"), answered)
    assert not answered.wait(0.3)
    control(faultless, "resume")
    assert answered.wait(5)


def test_an_empty_name_in_a_delete_empties_the_collection_as_in_a_cluster(core: Any, space: str) -> None:
    core.create_namespaced_config_map(space, {"metadata": {"name": "a"}})
    core.delete_namespaced_config_map("", space)
    assert core.list_namespaced_config_map(space).items == []


def test_text_beyond_the_basic_plane_is_accepted_as_utf8_and_refused_as_escapes(
    server: SandboxServer, space: str
) -> None:
    path = f"/api/v1/namespaces/{space}/configmaps/emoji?fieldManager=t&force=true"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "emoji"}, "data": {"a": "🔭"}}
    kind = "application/apply-patch+yaml"
    status, answer = call(server, "PATCH", path, json.dumps(body).encode(), Content_Type=kind)
    assert (status, answer["reason"]) == (400, "BadRequest")
    assert "invalid Unicode character escape code" in answer["message"]
    raw = json.dumps(body, ensure_ascii=False).encode()
    status, answer = call(server, "PATCH", path, raw, Content_Type=kind)
    assert (status, answer["data"]) == (201, {"a": "🔭"})
    assert call(server, "PATCH", path, raw, Content_Type=kind)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/apis/nothing.here/v1/things", None, 404),
        ("GET", "/api/v1/namespaces/default/pods/x/nonsense", None, 404),
        ("GET", "/api/v1/pods?labelSelector=a%20b%20c", None, 400),
        ("GET", "/api/v1/pods?fieldSelector=spec.secret%3D1", None, 400),
        ("GET", "/api/v1/pods?resourceVersion=abc", None, 400),
        ("POST", "/api/v1/namespaces/default/configmaps", b"{", 400),
        ("POST", "/api/v1/namespaces/default/configmaps", b'{"data": NaN}', 400),
        ("POST", "/api/v1/namespaces/default/configmaps", b"[" * 5000, 400),
        ("POST", "/api/v1/namespaces/default/configmaps", b"[]", 400),
        ("POST", "/api/v1/namespaces/default/configmaps", {"kind": "Secret", "apiVersion": "v1"}, 400),
        ("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x", "namespace": "other"}}, 400),
        ("POST", "/api/v1/namespaces/default/configmaps", {"metadata": 5}, 400),
        ("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x", "labels": [1]}}, 400),
        ("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x", "labels": {"a": 1}}}, 400),
        ("POST", "/api/v1/namespaces/default/pods", {"metadata": {"name": "x"}, "spec": "x"}, 400),
        ("POST", "/apis/example.com/v1beta1/namespaces/default/widgets", {"metadata": {"annotations": 1}}, 400),
        ("POST", "/apis/example.com/v1beta1/namespaces/default/widgets", {"metadata": {"name": "x"}, "spec": 1}, 422),
        ("GET", "/api/v1/pods?limit=abc", None, 400),
        ("DELETE", "/api/v1/namespaces/default/pods/x", {"gracePeriodSeconds": "soon"}, 400),
        ("POST", "/api/v1/namespaces/default/configmaps", {}, 422),
        ("POST", "/api/v1/namespaces/default/configmaps?dryRun=Some", {"metadata": {"name": "x"}}, 422),
        ("PATCH", "/api/v1/namespaces/default/configmaps/x", {"data": {}}, 404),
        ("POST", "/sandbox/nonsense", {}, 404),
        ("POST", "/sandbox/break", {"namespace": "x"}, 400),
        ("GET", "/sandbox/state", None, 200),
    ],
)
def test_odd_requests_get_a_clear_answer(server: SandboxServer, method: str, path: str, body: Any, status: int) -> None:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    answer = call(server, method, path, body, Content_Type=kind)
    assert answer[0] == status, answer
    assert answer[1] == b"404 page not found\n" or answer[1].get("message", "-")


def test_a_body_above_three_mebibytes_is_413_and_the_connection_lives(server: SandboxServer) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    big = json.dumps({"metadata": {"name": "x"}, "data": {"a": "x" * (4 * 1024 * 1024)}})
    connection.request("POST", "/api/v1/namespaces/default/configmaps", big)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["reason"]) == (413, "RequestEntityTooLarge")
    connection.request("GET", "/version")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_stopped_server_answers_nobody_not_even_on_an_open_connection() -> None:
    running = SandboxServer().start()
    connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=5)
    connection.request("GET", "/version")
    assert connection.getresponse().read()
    running.stop()
    with contextlib.suppress(ConnectionError):
        connection.request("GET", "/version")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        connection.getresponse()
    connection.close()


def test_a_token_is_asked_for_where_one_is_set() -> None:
    with SandboxServer(token="let-me-in") as guarded:
        assert call(guarded, "GET", "/api/v1/pods")[0] == 401
        assert call(guarded, "GET", "/api/v1/pods", Authorization="Bearer let-me-in")[0] == 200
