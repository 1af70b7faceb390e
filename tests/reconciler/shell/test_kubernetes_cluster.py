"""The port against a server that misbehaves."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from eventstore.vocabulary import ErrorCategory
from reconciler.shell.api_transport import ApiTransport
from reconciler.shell.cluster import ClusterError, Resource, ResourceExpiredError
from reconciler.shell.kubernetes_cluster import KubernetesCluster
from reconciler.shell.object_names import InvalidNameError

CONFIG_MAP = Resource("v1", "ConfigMap", "configmaps")
DEPLOYMENT = Resource("apps/v1", "Deployment", "deployments")
PLATFORM = Resource("observability.io/v1beta1", "ObservabilityPlatform", "observabilityplatforms")


def config_map(name: str = "a", version: str = "7", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "obs", "uid": f"uid-{name}", "resourceVersion": version}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **more}


def status(code: int, reason: str, message: str = "", **details: Any) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details,
    }


def line(kind: str, found: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": found}).encode() + b"\n"


def page(items: list[dict[str, Any]], version: str = "10", following: str = "") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMapList",
        "metadata": {"resourceVersion": version, "continue": following},
        "items": items,
    }


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "A", "a b", "a\n", "-a", "a" * 254, "a..b", "%2e%2e"])
def test_a_name_that_the_server_would_read_as_something_else_is_never_sent(
    server: Any, cluster: KubernetesCluster, name: str
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: cluster.get(CONFIG_MAP, "obs", name),
        lambda: cluster.delete(CONFIG_MAP, "obs", name, uid="u"),
        lambda: cluster.apply(CONFIG_MAP, "obs", {**config_map(), "metadata": {"name": name}}, manager="stackledger"),
        lambda: cluster.apply_status(PLATFORM, "obs", {"metadata": {"name": name}}),
        lambda: cluster.create(CONFIG_MAP, "obs", {**config_map(), "metadata": {"name": name}}),
        lambda: cluster.set_finalizers(CONFIG_MAP, "obs", name, [], uid="u", resource_version="1"),
    ]
    for call in calls:
        with pytest.raises(InvalidNameError):
            call()
    assert server.seen == []


@pytest.mark.parametrize("namespace", ["", ".", "..", "kube/system", "A", "a.b", "a" * 64])
def test_a_namespace_that_is_no_dns_label_is_never_sent(
    server: Any, cluster: KubernetesCluster, namespace: str
) -> None:
    for call in (
        lambda: cluster.get(CONFIG_MAP, namespace, "a"),
        lambda: cluster.list_all(CONFIG_MAP, namespace),
        lambda: cluster.delete(CONFIG_MAP, namespace, "a", uid="u"),
        lambda: cluster.create(
            CONFIG_MAP, namespace, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
        ),
        lambda: list(cluster.watch(CONFIG_MAP, "1", namespace)),
    ):
        with pytest.raises(InvalidNameError):
            call()
    assert server.seen == []


def test_a_delete_without_uid_is_never_sent(server: Any, cluster: KubernetesCluster) -> None:
    with pytest.raises(InvalidNameError):
        cluster.delete(CONFIG_MAP, "obs", "a", uid="")
    assert server.seen == []


def test_a_body_for_another_namespace_or_kind_is_never_sent(server: Any, cluster: KubernetesCluster) -> None:
    elsewhere = config_map()
    elsewhere["metadata"]["namespace"] = "kube-system"
    with pytest.raises(InvalidNameError, match="kube-system"):
        cluster.apply(CONFIG_MAP, "obs", elsewhere, manager="stackledger")
    with pytest.raises(InvalidNameError):
        cluster.apply(DEPLOYMENT, "obs", config_map(), manager="stackledger")
    assert server.seen == []


# -- what is sent --------------------------------------------------------------------------------------------------


def test_apply_sends_utf8_bytes_as_an_apply_patch_under_its_manager_with_force(
    server: Any, cluster: KubernetesCluster, reply: Any
) -> None:
    server.replies(reply(body=config_map()))
    cluster.apply(CONFIG_MAP, "obs", config_map(data={"title": "😀 ü"}), manager="stackledger")
    seen = server.seen[0]
    assert seen.method == "PATCH"
    assert urlsplit(seen.path).path == "/api/v1/namespaces/obs/configmaps/a"
    assert parse_qs(urlsplit(seen.path).query) == {"fieldManager": ["stackledger"], "force": ["true"]}
    assert seen.headers["Content-Type"] == "application/apply-patch+yaml"
    assert "😀 ü".encode() in seen.body


def test_status_is_applied_on_its_subresource_under_its_own_manager(
    server: Any, cluster: KubernetesCluster, reply: Any
) -> None:
    body = {**config_map(), "apiVersion": "observability.io/v1beta1", "kind": "ObservabilityPlatform"}
    server.replies(reply(body=body))
    cluster.apply_status(PLATFORM, "obs", body)
    parts = urlsplit(server.seen[0].path)
    assert parts.path == "/apis/observability.io/v1beta1/namespaces/obs/observabilityplatforms/a/status"
    assert parse_qs(parts.query)["fieldManager"] == ["stackledger-status"]


def test_delete_sends_a_uid_precondition_and_background_propagation(
    server: Any, cluster: KubernetesCluster, reply: Any
) -> None:
    server.replies(reply(body=status(200, "")))
    cluster.delete(CONFIG_MAP, "obs", "a", uid="uid-a")
    sent = json.loads(server.seen[0].body)
    assert sent["preconditions"] == {"uid": "uid-a"}
    assert sent["propagationPolicy"] == "Background"


@pytest.mark.parametrize(
    "answer",
    [
        status(404, "NotFound", 'configmaps "a" not found', name="a", kind="configmaps"),
        status(409, "Conflict", "Precondition failed: UID in precondition: x, UID in object meta: y", name="a"),
        status(
            409,
            "Conflict",
            'Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (x) does not match the UID in '
            "record (y). The object might have been deleted and then recreated",
            name="a",
        ),
        status(404, "NotFound", 'namespaces "obs" not found', name="obs", kind="namespaces"),
    ],
)
def test_deleting_what_is_gone_or_was_replaced_is_success(
    server: Any, cluster: KubernetesCluster, reply: Any, answer: dict[str, Any]
) -> None:
    server.replies(reply(answer["code"], answer))
    cluster.delete(CONFIG_MAP, "obs", "a", uid="uid-a")


def test_a_delete_for_a_kind_the_server_does_not_serve_is_an_error(
    server: Any, cluster: KubernetesCluster, reply: Any
) -> None:
    server.replies(reply(404, b"404 page not found\n"))
    with pytest.raises(ClusterError) as caught:
        cluster.delete(CONFIG_MAP, "obs", "a", uid="uid-a")
    assert caught.value.reason == "ApiMissing"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {1, 2}])
def test_a_value_that_json_cannot_carry_is_a_configuration_error_without_the_value(
    server: Any, cluster: KubernetesCluster, value: Any
) -> None:
    with pytest.raises(ClusterError) as caught:
        cluster.apply(CONFIG_MAP, "obs", config_map(data={"k": value}), manager="stackledger")
    assert (caught.value.category, caught.value.reason) == (ErrorCategory.CONFIGURATION, "Rejected")
    assert caught.value.__cause__ is None
    assert server.seen == []


def test_a_body_larger_than_the_api_accepts_is_refused_with_its_size(server: Any, cluster: KubernetesCluster) -> None:
    with pytest.raises(ClusterError, match=r"ConfigTooLarge: .* 4\d{6} bytes"):
        cluster.apply(CONFIG_MAP, "obs", config_map(data={"k": "x" * 4_000_000}), manager="stackledger")
    assert server.seen == []


def test_finalizers_are_set_with_uid_and_resource_version_preconditions(
    server: Any, cluster: KubernetesCluster, reply: Any
) -> None:
    server.replies(reply(body=config_map()))
    cluster.set_finalizers(CONFIG_MAP, "obs", "a", ["x/y"], uid="uid-a", resource_version="7")
    sent = json.loads(server.seen[0].body)
    assert sent == {"metadata": {"uid": "uid-a", "resourceVersion": "7", "finalizers": ["x/y"]}}
    assert server.seen[0].headers["Content-Type"] == "application/merge-patch+json"


def test_setting_finalizers_on_a_replaced_object_says_it_is_gone(
    server: Any, cluster: KubernetesCluster, reply: Any
) -> None:
    server.replies(reply(409, status(409, "Conflict", "Precondition failed: UID in precondition: x, ...", name="a")))
    assert cluster.set_finalizers(CONFIG_MAP, "obs", "a", [], uid="u", resource_version="7") is None


def test_adding_a_finalizer_to_an_object_on_its_way_out_says_so(
    server: Any, cluster: KubernetesCluster, reply: Any
) -> None:
    text = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted"
    server.replies(reply(422, status(422, "Invalid", text, name="a")))
    with pytest.raises(ClusterError) as caught:
        cluster.set_finalizers(CONFIG_MAP, "obs", "a", ["x/y"], uid="u", resource_version="7")
    assert caught.value.reason == "BeingDeleted"


# -- what comes back -----------------------------------------------------------------------------------------------


def test_an_absent_object_is_none_and_an_absent_kind_is_an_error(
    server: Any, cluster: KubernetesCluster, reply: Any
) -> None:
    server.replies(
        reply(404, status(404, "NotFound", 'configmaps "a" not found', name="a", kind="configmaps")),
        reply(404, b"404 page not found\n", {"Content-Type": "text/plain"}),
    )
    assert cluster.get(CONFIG_MAP, "obs", "a") is None
    with pytest.raises(ClusterError) as caught:
        cluster.get(CONFIG_MAP, "obs", "a")
    assert (caught.value.category, caught.value.reason) == (ErrorCategory.RESOURCE, "ApiMissing")


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>Sign in</body></html>",
        b"",
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"',
        b"[1, 2]",
        b"null",
        b"[" * 100_000,
        json.dumps({"apiVersion": "v1", "kind": "Table", "metadata": {}}).encode(),
        json.dumps(config_map("other")).encode(),
        json.dumps({**config_map(), "metadata": {"name": "a", "namespace": "obs"}}).encode(),
        b'{"apiVersion":"v1","kind":"ConfigMap","x":NaN}',
        b'{"apiVersion":"v1","kind":"ConfigMap","x":"\xff"}',
    ],
    ids=["html", "empty", "truncated", "array", "null", "deep", "table", "other-object", "no-uid", "nan", "not-utf8"],
)
def test_a_200_that_is_not_the_object_asked_for_is_a_bad_response(
    server: Any, cluster: KubernetesCluster, reply: Any, body: Any
) -> None:
    server.replies(reply(200, body))
    with pytest.raises(ClusterError) as caught:
        cluster.get(CONFIG_MAP, "obs", "a")
    assert (caught.value.category, caught.value.reason) == (ErrorCategory.TRANSIENT, "BadResponse")


def test_an_answer_that_breaks_off_is_transient(server: Any, cluster: KubernetesCluster, reply: Any) -> None:
    server.replies(reply(200, config_map(), cut=True))
    with pytest.raises(ClusterError) as caught:
        cluster.get(CONFIG_MAP, "obs", "a")
    assert caught.value.category == ErrorCategory.TRANSIENT


def test_a_redirect_is_not_followed(server: Any, cluster: KubernetesCluster, reply: Any) -> None:
    server.replies(reply(302, b"", {"Location": "http://169.254.169.254/latest"}))
    with pytest.raises(ClusterError) as caught:
        cluster.get(CONFIG_MAP, "obs", "a")
    assert caught.value.reason == "BadResponse"
    assert len(server.seen) == 1


def test_a_dropped_connection_is_not_retried_behind_our_back(
    server: Any, cluster: KubernetesCluster, reply: Any, requests_observed: list[tuple[str, str, float]]
) -> None:
    server.replies(reply(drop=True))
    with pytest.raises(ClusterError) as caught:
        cluster.delete(CONFIG_MAP, "obs", "a", uid="u")
    assert (caught.value.category, caught.value.reason) == (ErrorCategory.TRANSIENT, "Unreachable")
    assert len(server.seen) == 1
    assert [(method, code) for method, code, _ in requests_observed] == [("DELETE", "<error>")]


def test_a_server_that_is_not_there_is_unreachable_at_once() -> None:
    from kubernetes.client import Configuration

    transport = ApiTransport(lambda: Configuration(host="http://127.0.0.1:9"), monotonic=time.monotonic)
    started = time.monotonic()
    with pytest.raises(ClusterError) as caught:
        KubernetesCluster(transport).get(CONFIG_MAP, "obs", "a")
    assert caught.value.reason == "Unreachable"
    assert time.monotonic() - started < 2


def test_a_retry_after_is_kept_with_the_error(server: Any, cluster: KubernetesCluster, reply: Any) -> None:
    server.replies(reply(503, b"busy", {"Retry-After": "7"}))
    with pytest.raises(ClusterError) as caught:
        cluster.get(CONFIG_MAP, "obs", "a")
    assert caught.value.retry_after_seconds == 7


# -- credentials ---------------------------------------------------------------------------------------------------


def test_a_401_reads_the_token_again_and_tries_once_more(server: Any, reply: Any) -> None:
    from kubernetes.client import Configuration

    tokens = iter(["old", "new", "newer"])
    transport = ApiTransport(
        lambda: Configuration(host=server.url, api_key={"BearerToken": f"bearer {next(tokens)}"}),
        monotonic=time.monotonic,
    )
    server.replies(reply(401, status(401, "Unauthorized")), reply(body=config_map()))
    assert KubernetesCluster(transport).get(CONFIG_MAP, "obs", "a") == config_map()
    assert [seen.headers["authorization"] for seen in server.seen] == ["bearer old", "bearer new"]


def test_a_second_401_is_an_error_without_the_token(server: Any, reply: Any) -> None:
    from kubernetes.client import Configuration

    transport = ApiTransport(
        lambda: Configuration(host=server.url, api_key={"BearerToken": "bearer s3cr3t-t0ken"}), monotonic=time.monotonic
    )
    server.replies(reply(401, status(401, "Unauthorized", "token s3cr3t-t0ken is bad")))
    with pytest.raises(ClusterError) as caught:
        KubernetesCluster(transport).get(CONFIG_MAP, "obs", "a")
    assert (caught.value.category, caught.value.reason) == (ErrorCategory.TRANSIENT, "Unauthorized")
    assert "s3cr3t" not in str(caught.value)
    assert len(server.seen) == 2


# -- lists ---------------------------------------------------------------------------------------------------------


def test_a_list_is_read_in_pages_and_its_items_say_what_they_are(
    server: Any, cluster: KubernetesCluster, reply: Any
) -> None:
    first = {"metadata": config_map("a")["metadata"]}
    server.replies(reply(body=page([first], "10", "next")), reply(body=page([config_map("b")], "10")))
    found = cluster.list_all(CONFIG_MAP, "obs", "app.kubernetes.io/managed-by=stackledger")
    assert [item["metadata"]["name"] for item in found.items] == ["a", "b"]
    assert found.items[0]["kind"] == "ConfigMap"
    assert found.resource_version == "10"
    queries = [parse_qs(urlsplit(seen.path).query) for seen in server.seen]
    assert queries[0] == {"limit": ["500"], "labelSelector": ["app.kubernetes.io/managed-by=stackledger"]}
    assert queries[1]["continue"] == ["next"]


def test_a_410_between_pages_begins_the_list_again(server: Any, cluster: KubernetesCluster, reply: Any) -> None:
    expired = reply(410, status(410, "Expired", "The provided continue parameter is too old"))
    server.replies(
        reply(body=page([config_map("a")], "10", "next")), expired, reply(body=page([config_map("b")], "12"))
    )
    found = cluster.list_all(CONFIG_MAP)
    assert [item["metadata"]["name"] for item in found.items] == ["b"]
    assert found.resource_version == "12"


def test_a_list_whose_pages_always_expire_is_asked_for_whole(
    server: Any, cluster: KubernetesCluster, reply: Any
) -> None:
    expired = reply(410, status(410, "Expired"))
    server.replies(expired, expired, reply(body=page([config_map("a")])))
    assert len(cluster.list_all(CONFIG_MAP).items) == 1
    assert "limit" not in server.seen[-1].path


@pytest.mark.parametrize(
    "body",
    [page([{"metadata": {}}]), page(["x"]), {**page([]), "metadata": {}}, {**page([]), "items": 3}],  # type: ignore[list-item]  # wrong on purpose
)
def test_a_list_that_is_not_one_is_a_bad_response(
    server: Any, cluster: KubernetesCluster, reply: Any, body: Any
) -> None:
    server.replies(reply(body=body))
    with pytest.raises(ClusterError) as caught:
        cluster.list_all(CONFIG_MAP)
    assert caught.value.reason == "BadResponse"


def test_a_list_that_never_ends_is_a_bad_response(server: Any, cluster: KubernetesCluster, reply: Any) -> None:
    server.replies(reply(body=page([], "10", "next")))
    with pytest.raises(ClusterError) as caught:
        cluster.list_all(CONFIG_MAP)
    assert caught.value.reason == "BadResponse"


# -- watches -------------------------------------------------------------------------------------------------------


def test_a_watch_asks_for_bookmarks_and_yields_lines_however_they_are_cut(
    server: Any, cluster: KubernetesCluster, reply: Any
) -> None:
    data = line("ADDED", config_map("a", "11")) + line("BOOKMARK", config_map("", "12")) + line("DELETED", config_map())
    server.replies(reply(chunks=[data[:30], data[30:35], data[35:200], data[200:]]))
    opened, *events = cluster.watch(CONFIG_MAP, "10", "obs")
    assert (opened.type, opened.object) == ("BOOKMARK", {"metadata": {"resourceVersion": "10"}})
    assert [event.type for event in events] == ["ADDED", "BOOKMARK", "DELETED"]
    query = parse_qs(urlsplit(server.seen[0].path).query)
    assert query["allowWatchBookmarks"] == ["true"]
    assert query["resourceVersion"] == ["10"]
    assert 225 <= int(query["timeoutSeconds"][0]) <= 300


def test_an_unfinished_last_line_of_a_watch_is_dropped(server: Any, cluster: KubernetesCluster, reply: Any) -> None:
    server.replies(reply(chunks=[line("ADDED", config_map()), b'{"type":"MODIF']))
    assert [event.type for event in cluster.watch(CONFIG_MAP, "10")] == ["BOOKMARK", "ADDED"]


@pytest.mark.parametrize("in_stream", [True, False], ids=["in the stream", "as the answer"])
def test_a_410_of_a_watch_asks_for_a_new_list(
    server: Any, cluster: KubernetesCluster, reply: Any, in_stream: bool
) -> None:
    gone = status(410, "Expired", "too old resource version: 1 (9)")
    server.replies(reply(chunks=[line("ERROR", gone)]) if in_stream else reply(410, gone))
    with pytest.raises(ResourceExpiredError):
        list(cluster.watch(CONFIG_MAP, "10"))


@pytest.mark.parametrize(
    "junk",
    [
        b"not json\n",
        b"null\n",
        b"{}\n",
        line("FROBNICATED", config_map()),
        line("ADDED", {"apiVersion": "v1", "kind": "ConfigMap"}),
        line("ADDED", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "1"}}),
        line("ADDED", {**config_map(), "kind": "Secret"}),
        line("BOOKMARK", {"apiVersion": "v1", "kind": "ConfigMap"}),
        b"<html>\n",
        b"\xff\xfe\n",
    ],
)
def test_a_line_that_is_no_watch_event_ends_the_watch_after_the_good_ones(
    server: Any, cluster: KubernetesCluster, reply: Any, junk: bytes
) -> None:
    server.replies(reply(chunks=[line("ADDED", config_map()), junk, line("ADDED", config_map("later"))]))
    events = cluster.watch(CONFIG_MAP, "10")
    assert next(events).type == "BOOKMARK"
    assert next(events).object == config_map()
    with pytest.raises(ClusterError) as caught:
        next(events)
    assert caught.value.reason == "BadResponse"


def test_an_endless_line_is_cut_off(
    server: Any, cluster: KubernetesCluster, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import reconciler.shell.kubernetes_cluster as port

    monkeypatch.setattr(port, "WATCH_LINE_BYTES_MAX", 100_000)
    server.replies(reply(chunks=[b"x" * 60_000, b"x" * 60_000, b"x" * 60_000]))
    with pytest.raises(ClusterError, match="longer than 100000 bytes"):
        list(cluster.watch(CONFIG_MAP, "10"))


def test_a_silent_half_open_watch_is_given_up(server: Any, cluster: KubernetesCluster, reply: Any) -> None:
    server.replies(reply(chunks=[line("ADDED", config_map())], hang=True))
    started = time.monotonic()
    with pytest.raises(ClusterError) as caught:
        list(cluster.watch(CONFIG_MAP, "10"))
    assert caught.value.reason == "WatchStalled"
    assert 0.3 < time.monotonic() - started < 2


def test_a_watch_that_drips_bytes_but_ends_no_line_is_given_up(
    server: Any, cluster: KubernetesCluster, reply: Any
) -> None:
    server.replies(reply(200, b"x" * 100, drip_seconds=0.05))
    with pytest.raises(ClusterError) as caught:
        list(cluster.watch(CONFIG_MAP, "10"))
    assert caught.value.reason == "WatchStalled"


def test_interrupting_ends_an_open_watch_at_once(server: Any, reply: Any) -> None:
    from kubernetes.client import Configuration

    transport = ApiTransport(lambda: Configuration(host=server.url), monotonic=time.monotonic)
    cluster = KubernetesCluster(transport, stall_seconds=30)
    server.replies(reply(chunks=[line("ADDED", config_map())], hang=True))
    first, ended = threading.Event(), threading.Event()

    def read() -> None:
        try:
            for event in cluster.watch(CONFIG_MAP, "10"):
                if event.type == "ADDED":
                    first.set()
        except ClusterError:
            pass
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    assert first.wait(5)
    cluster.interrupt_watches()
    assert ended.wait(2)
