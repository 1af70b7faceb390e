"""The cache: newest wins, whoever comes first."""

import sys
from typing import Any

import pytest

from eventstore.vocabulary import LABEL_PLATFORM
from reconciler.core.ownership import owned_digest
from reconciler.shell.cache import ObjectCache
from reconciler.shell.cluster import ListPage, WatchEvent
from reconciler.shell.resources import CONFIG_MAP, DEPLOYMENT, PLATFORM, POD, RESOURCE_QUOTA, SECRET


def deployment(version: int, uid: str = "u1", name: str = "prod-grafana", platform: str = "prod") -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": "obs",
            "uid": uid,
            "resourceVersion": str(version),
            "labels": {LABEL_PLATFORM: platform},
        },
    }


def platform(version: int, name: str = "prod", namespace: str = "obs") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "observability.io/v1beta1", "kind": "ObservabilityPlatform", "metadata": metadata}


def version(cache: ObjectCache) -> str | None:
    found = cache.get(DEPLOYMENT, "obs", "prod-grafana")
    return found["metadata"]["resourceVersion"] if found else None


def test_an_event_older_than_an_apply_response_is_no_news() -> None:
    cache = ObjectCache()
    assert cache.remember(DEPLOYMENT, deployment(9))
    assert cache.apply_event(WatchEvent("MODIFIED", deployment(7))) is None
    assert cache.apply_event(WatchEvent("MODIFIED", deployment(9))) is None
    assert version(cache) == "9"
    assert cache.apply_event(WatchEvent("MODIFIED", deployment(10))) == ("obs", "prod")
    assert version(cache) == "10"


def test_versions_are_compared_as_numbers() -> None:
    cache = ObjectCache()
    cache.remember(DEPLOYMENT, deployment(9))
    assert cache.remember(DEPLOYMENT, deployment(10))


def test_a_deletion_of_a_predecessor_leaves_the_object_of_the_same_name() -> None:
    cache = ObjectCache()
    cache.remember(DEPLOYMENT, deployment(12, uid="u2"))
    assert cache.apply_event(WatchEvent("DELETED", deployment(11, uid="u1"))) is None
    assert version(cache) == "12"


def test_a_late_apply_response_does_not_bring_a_deleted_object_back() -> None:
    cache = ObjectCache()
    cache.apply_event(WatchEvent("ADDED", deployment(5)))
    assert cache.apply_event(WatchEvent("DELETED", deployment(8))) == ("obs", "prod")
    assert not cache.remember(DEPLOYMENT, deployment(7))
    assert version(cache) is None
    assert cache.remember(DEPLOYMENT, deployment(9, uid="u2"))


def test_a_list_drops_what_it_does_not_hold_unless_that_is_newer() -> None:
    cache = ObjectCache()
    cache.remember(DEPLOYMENT, deployment(5, name="old"))
    cache.remember(DEPLOYMENT, deployment(15, name="new"))
    changed = cache.replace("Deployment", None, ListPage([deployment(8)], "10"))
    assert changed == {("obs", "prod")}
    assert [found["metadata"]["name"] for found in cache.list_kind(DEPLOYMENT)] == ["new", "prod-grafana"]


def test_a_list_that_says_nothing_new_changes_nothing() -> None:
    cache = ObjectCache()
    cache.replace("Deployment", None, ListPage([deployment(8)], "10"))
    assert cache.replace("Deployment", None, ListPage([deployment(8)], "11")) == set()


def test_a_list_of_one_namespace_leaves_the_others_alone() -> None:
    cache = ObjectCache()
    elsewhere = deployment(3)
    elsewhere["metadata"]["namespace"] = "other"
    cache.remember(DEPLOYMENT, elsewhere)
    cache.replace("Deployment", "obs", ListPage([], "10"))
    assert len(cache.list_kind(DEPLOYMENT)) == 1


def test_after_a_restore_from_backup_nothing_is_dropped_before_the_next_list() -> None:
    cache = ObjectCache()
    cache.remember(DEPLOYMENT, deployment(500, name="absent"))
    cache.remember(DEPLOYMENT, deployment(501))
    assert cache.replace("Deployment", None, ListPage([deployment(90)], "100"), rewound=True) == {("obs", "prod")}
    assert version(cache) == "90"
    assert cache.get(DEPLOYMENT, "obs", "absent") is not None
    cache.replace("Deployment", None, ListPage([deployment(90)], "110"))
    assert cache.get(DEPLOYMENT, "obs", "absent") is None


def test_a_list_is_believed_about_the_time_before_it_though_its_objects_are_older_than_what_was_seen() -> None:
    """Restored by a tool that raises the revision, or busy since: only the objects' own versions went back."""
    cache = ObjectCache()
    cache.remember(DEPLOYMENT, deployment(501))
    assert cache.replace("Deployment", None, ListPage([deployment(90)], "600")) == {("obs", "prod")}
    assert version(cache) == "90"
    assert cache.apply_event(WatchEvent("MODIFIED", deployment(601))) == ("obs", "prod")


def test_a_version_that_a_restored_cluster_gives_out_twice_is_news_when_its_content_is() -> None:
    cache = ObjectCache()
    cache.remember(DEPLOYMENT, deployment(500))
    again = deployment(500)
    assert cache.replace("Deployment", None, ListPage([again], "500")) == set()
    again["metadata"]["generation"] = 1
    assert cache.replace("Deployment", None, ListPage([again], "500")) == {("obs", "prod")}


def test_the_newest_known_version_of_a_kind_may_be_that_of_a_deletion() -> None:
    cache = ObjectCache()
    assert cache.newest("Deployment") == -1
    cache.remember(DEPLOYMENT, deployment(8))
    cache.remember(PLATFORM, platform(90))
    assert cache.newest("Deployment") == 8
    cache.apply_event(WatchEvent("DELETED", deployment(11)))
    assert cache.newest("Deployment", "obs") == 11
    assert cache.newest("Deployment", "elsewhere") == -1


def test_a_list_brings_back_what_was_deleted_before_it_and_not_what_was_deleted_since() -> None:
    cache = ObjectCache()
    cache.remember(DEPLOYMENT, deployment(8))
    cache.apply_event(WatchEvent("DELETED", deployment(501)))
    assert cache.replace("Deployment", None, ListPage([deployment(8)], "500")) == set()
    assert version(cache) is None
    assert cache.replace("Deployment", None, ListPage([deployment(8)], "600")) == {("obs", "prod")}
    assert version(cache) == "8"


def test_a_list_leaves_what_was_written_while_it_was_read() -> None:
    cache = ObjectCache()
    cache.remember(DEPLOYMENT, deployment(105))
    assert cache.replace("Deployment", None, ListPage([deployment(90)], "100")) == set()
    assert version(cache) == "105"


def secret(version: int, uid: str) -> dict[str, Any]:
    metadata = {**deployment(version, uid)["metadata"], "name": "admin"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {}}


@pytest.mark.parametrize("uid", ["before", "after"])
def test_what_is_read_of_a_secret_is_the_newest_whatever_its_version(uid: str) -> None:
    """Secrets are only read one by one, by the worker that also writes them: after a restore their versions are old."""
    cache = ObjectCache([DEPLOYMENT.kind, SECRET.kind])
    cache.remember(SECRET, secret(500, "before"))
    if uid == "after":
        cache.forget(SECRET, "obs", "admin", "before")
    assert cache.remember(SECRET, secret(60, uid))
    found = cache.get(SECRET, "obs", "admin")
    assert found is not None
    assert (found["metadata"]["uid"], found["metadata"]["resourceVersion"]) == (uid, "60")


def test_children_are_found_by_platform_and_move_with_their_label() -> None:
    cache = ObjectCache()
    cache.remember(PLATFORM, platform(1))
    cache.remember(DEPLOYMENT, deployment(2))
    assert [found["kind"] for found in cache.children("obs", "prod")] == ["Deployment"]
    assert cache.platforms() == [("obs", "prod")]
    cache.remember(DEPLOYMENT, deployment(3, platform="stage"))
    assert cache.children("obs", "prod") == []
    assert len(cache.children("obs", "stage")) == 1


def test_a_forgotten_object_is_only_forgotten_under_its_own_uid() -> None:
    cache = ObjectCache()
    cache.remember(DEPLOYMENT, deployment(2, uid="u2"))
    assert not cache.forget(DEPLOYMENT, "obs", "prod-grafana", "u1")
    assert cache.forget(DEPLOYMENT, "obs", "prod-grafana", "u2")
    assert version(cache) is None


def test_a_secret_is_not_kept_unless_asked_for_and_then_without_values() -> None:
    cache = ObjectCache()
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "obs", "uid": "u", "resourceVersion": "1"},
        "data": {"password": "czNjcjN0"},
    }
    assert not cache.remember(SECRET, secret)
    assert cache.get(SECRET, "obs", "s") is None
    asked = ObjectCache(["Secret"])
    assert asked.remember(SECRET, secret)
    kept = asked.get(SECRET, "obs", "s")
    assert kept is not None
    assert kept["data"] == {"password": ""}


def test_what_is_kept_is_slim_and_the_original_untouched() -> None:
    cache = ObjectCache()
    found = deployment(4)
    found["metadata"]["managedFields"] = [
        {"manager": "stackledger", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    ]
    found["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"}
    digest = owned_digest(found)
    cache.remember(DEPLOYMENT, found)
    kept = cache.get(DEPLOYMENT, "obs", "prod-grafana")
    assert kept is not None
    assert "managedFields" in found["metadata"]
    assert "managedFields" not in kept["metadata"]
    assert kept["metadata"]["annotations"] == {"a": "b"}
    assert owned_digest(kept) == digest != ""


def test_config_map_values_are_kept_as_digests_and_pods_without_their_spec() -> None:
    cache = ObjectCache()
    metadata = {"name": "x", "namespace": "obs", "uid": "u", "resourceVersion": "1", "labels": {LABEL_PLATFORM: "prod"}}
    cache.remember(
        CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"k": "v" * 900}}
    )
    cache.remember(
        POD,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": [{"name": "c", "image": "i:1", "env": [{"name": "P", "value": "s3cr3t"}]}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "c", "ready": True}], "podIP": "10.0.0.1"},
        },
    )
    kept = cache.get(CONFIG_MAP, "obs", "x")
    pod = cache.get(POD, "obs", "x")
    assert kept is not None
    assert kept["data"]["k"].startswith("sha256:")
    assert pod is not None
    assert "s3cr3t" not in str(pod)
    assert pod["spec"]["containers"] == [{"name": "c", "image": "i:1"}]
    assert pod["status"]["containerStatuses"] == [{"name": "c", "ready": True}]


def test_an_unlabelled_quota_concerns_the_whole_namespace() -> None:
    cache = ObjectCache()
    metadata = {"name": "q", "namespace": "obs", "uid": "u", "resourceVersion": "1"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata}
    assert cache.apply_event(WatchEvent("ADDED", quota)) == ("obs", "")
    assert cache.get(RESOURCE_QUOTA, "obs", "q") is not None


@pytest.mark.parametrize("rounds", [3])
def test_churn_leaves_no_index_behind(rounds: int) -> None:
    cache = ObjectCache()
    for turn in range(rounds):
        for number in range(200):
            found = deployment(turn * 1000 + number, name=f"d{number}", platform=f"p{number}")
            cache.apply_event(WatchEvent("ADDED", found))
            gone = deployment(turn * 1000 + number + 500, name=f"d{number}", platform=f"p{number}")
            cache.apply_event(WatchEvent("DELETED", gone))
    assert len(cache) == 0
    assert cache._by_platform == {}
    assert sys.getsizeof(cache._entries) < 100_000
