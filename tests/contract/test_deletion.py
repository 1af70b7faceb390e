"""Deletion: preconditions, finalizers, propagation, garbage collection, namespaces that empty themselves."""

from functools import partial
from uuid import uuid4

from tests.contract.bodies import config_map, deployment, owned_by, platform, service, widget, with_metadata
from tests.contract.server import JSON_PATCH, Object, Server, eventually

OTHER_UID = "11111111-2222-4333-8444-555555555555"
HOLD = "example.com/hold"


def meta(item: Object) -> Object:
    found: Object = item["metadata"]
    return found


def gone(server: Server, *what: Object) -> None:
    """Wait until they are.

    A real namespace controller begins after 5 s and looks again after 8; its garbage collector learns of a new kind
    within 30 s.
    """
    for one in what:
        eventually(partial(_is_gone, server, one), f"{one['kind']} {one['metadata']['name']} gone", seconds=75)


def _is_gone(server: Server, what: Object) -> bool:
    return server.find(what) is None


def release(server: Server, what: Object) -> None:
    """Take the finalizers off."""
    server.patch(what, {"metadata": {"finalizers": None}}).ok()


# -- the answer ----------------------------------------------------------------------------------------------------


def test_a_deleted_object_is_gone_and_the_answer_names_it(server: Server) -> None:
    made = server.create(widget()).ok()
    answer = server.delete(widget())
    assert answer.status == 200
    assert answer.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": "w1", "group": "example.com", "kind": "widgets", "uid": meta(made)["uid"]},
    }
    assert server.get(widget()).status == 404
    assert server.delete(widget()).refusal() == (404, "NotFound", 'widgets.example.com "w1" not found')


def test_an_object_of_the_same_name_made_afterwards_is_another(server: Server) -> None:
    first = server.create(config_map()).ok()
    server.delete(config_map())
    second = server.create(config_map()).ok()
    assert meta(first)["uid"] != meta(second)["uid"]


# -- preconditions -------------------------------------------------------------------------------------------------


def test_a_deletion_with_another_uid_is_a_conflict(server: Server) -> None:
    made = server.create(config_map()).ok()
    answer = server.delete(config_map(), {"preconditions": {"uid": OTHER_UID}})
    assert answer.refusal() == (
        409,
        "Conflict",
        (
            'Operation cannot be fulfilled on ConfigMap "c1": the UID in the precondition '
            f"({OTHER_UID}) does not match the UID in record ({meta(made)['uid']}). "
            "The object might have been deleted and then recreated"
        ),
    )
    assert answer.body["details"] == {"name": "c1", "kind": "ConfigMap"}
    assert server.delete(config_map(), {"preconditions": {"uid": meta(made)["uid"]}}).status == 200


def test_a_deletion_with_another_resource_version_is_a_conflict(server: Server) -> None:
    first = server.create(config_map()).ok()
    second = server.patch(config_map(), {"data": {"a": "2"}}).ok()
    stale = {"preconditions": {"resourceVersion": meta(first)["resourceVersion"]}}
    code, reason, message = server.delete(config_map(), stale).refusal()
    assert (code, reason) == (409, "Conflict")
    assert message == (
        'Operation cannot be fulfilled on ConfigMap "c1": the ResourceVersion in the precondition '
        f"({meta(first)['resourceVersion']}) does not match the ResourceVersion in record "
        f"({meta(second)['resourceVersion']}). The object might have been modified"
    )
    current = {"preconditions": {"resourceVersion": meta(second)["resourceVersion"]}}
    assert server.delete(config_map(), current).status == 200


def test_an_unknown_propagation_policy_is_refused(server: Server) -> None:
    server.create(config_map()).ok()
    answer = server.delete(config_map(), {"propagationPolicy": "Sideways"})
    assert answer.refusal()[:2] == (422, "Invalid")
    assert server.find(config_map())


# -- finalizers ----------------------------------------------------------------------------------------------------


def test_a_finalizer_holds_an_object_that_is_being_deleted(server: Server) -> None:
    server.create(with_metadata(widget(), finalizers=[HOLD])).ok()
    answer = server.delete(widget())
    assert answer.status == 200
    held = answer.ok()
    assert held["kind"] == "Widget"
    assert meta(held)["deletionTimestamp"].endswith("Z")
    assert meta(held)["deletionGracePeriodSeconds"] == 0
    assert meta(held)["generation"] == 2
    again = server.delete(widget()).ok()
    assert meta(again)["deletionTimestamp"] == meta(held)["deletionTimestamp"]
    assert meta(again)["resourceVersion"] == meta(held)["resourceVersion"]
    released = server.patch(widget(), {"metadata": {"finalizers": None}}).ok()
    assert meta(released)["uid"] == meta(held)["uid"]
    assert server.get(widget()).status == 404


def test_an_object_with_a_finalizer_can_be_changed_while_it_is_being_deleted(server: Server) -> None:
    server.create(with_metadata(widget(size=1), finalizers=[HOLD])).ok()
    server.delete(widget()).ok()
    assert server.patch(widget(), {"spec": {"size": 2}}).ok()["spec"]["size"] == 2
    assert server.patch(widget(), {"status": {"phase": "x"}}, subresource="status").ok()["status"]["phase"] == "x"
    assert server.create(widget()).refusal()[1] == "AlreadyExists"
    release(server, widget())


def test_no_finalizer_can_be_added_to_an_object_that_is_being_deleted(server: Server) -> None:
    server.create(with_metadata(widget(), finalizers=[HOLD])).ok()
    server.delete(widget()).ok()
    answer = server.patch(widget(), {"metadata": {"finalizers": [HOLD, "example.com/more"]}})
    assert answer.refusal() == (
        422,
        "Invalid",
        (
            'Widget.example.com "w1" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the '
            'object is being deleted, found new finalizers []string{"example.com/more"}'
        ),
    )
    release(server, widget())


def test_the_deletion_cannot_be_taken_back(server: Server) -> None:
    server.create(with_metadata(widget(), finalizers=[HOLD])).ok()
    held = server.delete(widget()).ok()
    server.patch(widget(), {"metadata": {"deletionTimestamp": None}})
    assert meta(server.get(widget()).ok())["deletionTimestamp"] == meta(held)["deletionTimestamp"]
    release(server, widget())


def test_of_two_finalizers_each_holds(server: Server) -> None:
    server.create(with_metadata(platform(), finalizers=[HOLD, "example.com/more"])).ok()
    server.delete(platform()).ok()
    server.patch(platform(), [{"op": "remove", "path": "/metadata/finalizers/0"}], JSON_PATCH).ok()
    assert meta(server.get(platform()).ok())["finalizers"] == ["example.com/more"]
    release(server, platform())
    assert server.find(platform()) is None


def test_finalizers_are_replaced_under_uid_and_resource_version(server: Server) -> None:
    made = server.create(platform()).ok()
    fence = {"uid": meta(made)["uid"], "resourceVersion": meta(made)["resourceVersion"]}
    held = server.patch(platform(), {"metadata": {**fence, "finalizers": [HOLD]}}).ok()
    assert meta(held)["finalizers"] == [HOLD]
    assert meta(held)["generation"] == 1
    assert server.patch(platform(), {"metadata": {**fence, "finalizers": []}}).refusal()[:2] == (409, "Conflict")
    fence["resourceVersion"] = meta(held)["resourceVersion"]
    assert "finalizers" not in meta(server.patch(platform(), {"metadata": {**fence, "finalizers": []}}).ok())


# -- owners --------------------------------------------------------------------------------------------------------


def test_children_go_after_their_owner(server: Server) -> None:
    owner = server.create(widget()).ok()
    server.create(owned_by(config_map(), owner, controller=True, blockOwnerDeletion=False)).ok()
    server.create(owned_by(service(), owner)).ok()
    assert server.delete(widget(), {"propagationPolicy": "Background"}).body["status"] == "Success"
    gone(server, config_map(), service())


def test_a_child_of_an_owner_that_never_was_goes(server: Server) -> None:
    owner = server.create(widget()).ok()
    stranger = {**owner, "metadata": {"name": "w1", "uid": str(uuid4())}}
    server.create(owned_by(config_map(), stranger)).ok()
    gone(server, config_map())
    assert server.find(widget())


def test_a_child_with_another_owner_left_stays(server: Server) -> None:
    first, second = server.create(widget("w1")).ok(), server.create(widget("w2")).ok()
    references = meta(owned_by({"metadata": {}}, first))["ownerReferences"]
    references += meta(owned_by({"metadata": {}}, second))["ownerReferences"]
    server.create(with_metadata(config_map(), ownerReferences=references)).ok()
    server.create(owned_by(config_map("only"), first)).ok()
    server.delete(widget("w1"))
    gone(server, config_map("only"))

    def owners() -> bool:
        return [one["name"] for one in meta(server.get(config_map()).ok())["ownerReferences"]] == ["w2"]

    eventually(owners, "the reference to the absent owner goes", seconds=75)


def test_orphaned_children_stay_without_an_owner(server: Server) -> None:
    owner = server.create(widget()).ok()
    server.create(owned_by(config_map(), owner)).ok()
    server.delete(widget(), {"propagationPolicy": "Orphan"})
    gone(server, widget())
    assert "ownerReferences" not in meta(server.get(config_map()).ok())


def test_in_the_foreground_the_owner_waits_for_children_that_block_it(server: Server) -> None:
    owner = server.create(widget()).ok()
    child = with_metadata(owned_by(config_map(), owner, blockOwnerDeletion=True), finalizers=[HOLD])
    server.create(child).ok()
    held = server.delete(widget(), {"propagationPolicy": "Foreground"}).ok()
    assert meta(held)["finalizers"] == ["foregroundDeletion"]
    eventually(
        lambda: meta(server.get(config_map()).ok()).get("deletionTimestamp"), "the child is being deleted", seconds=75
    )
    assert server.find(widget())
    release(server, config_map())
    gone(server, config_map(), widget())


def test_a_child_with_a_finalizer_outlives_an_owner_deleted_in_the_background(server: Server) -> None:
    owner = server.create(widget()).ok()
    server.create(with_metadata(owned_by(config_map(), owner), finalizers=[HOLD])).ok()
    server.delete(widget())
    eventually(
        lambda: meta(server.get(config_map()).ok()).get("deletionTimestamp"), "the child is being deleted", seconds=75
    )
    release(server, config_map())
    gone(server, config_map())


def test_a_workload_takes_what_it_made_with_it(server: Server) -> None:
    server.create(deployment()).ok()
    sets = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {}}

    def made() -> list[Object]:
        found: list[Object] = server.get(sets).ok()["items"]
        return found

    eventually(made, "a ReplicaSet")
    server.delete(deployment())
    eventually(lambda: not made(), "no ReplicaSet")


# -- namespaces ----------------------------------------------------------------------------------------------------


def other_namespace(server: Server) -> Object:
    """A second namespace, whose deletion is the test's own."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{server.namespace}-b"}}
    return server.create(body).ok()


def test_a_namespace_goes_with_everything_in_it(server: Server) -> None:
    body = other_namespace(server)
    inside = {"namespace": meta(body)["name"]}
    for item in (config_map(), widget(), service(), deployment()):
        server.create(with_metadata(item, **inside)).ok()
    answer = server.delete(body)
    assert answer.status == 200
    assert answer.ok()["status"]["phase"] == "Terminating"
    gone(server, body)
    assert server.find(with_metadata(widget(), **inside)) is None


def test_nothing_new_is_made_in_a_namespace_that_is_being_deleted(server: Server) -> None:
    body = other_namespace(server)
    held = with_metadata(widget(), namespace=meta(body)["name"], finalizers=[HOLD])
    server.create(held).ok()
    server.delete(body)
    eventually(lambda: meta(server.get(held).ok()).get("deletionTimestamp"), "the content is being deleted", seconds=75)
    late = with_metadata(config_map("late"), namespace=meta(body)["name"])
    name = meta(body)["name"]
    for answer in (server.create(late), server.apply(late)):
        assert answer.refusal() == (
            403,
            "Forbidden",
            (
                f'configmaps "late" is forbidden: unable to create new content in namespace {name} because it is being '
                "terminated"
            ),
        )
    assert answer.body["details"] == {
        "name": "late",
        "kind": "configmaps",
        "causes": [
            {
                "reason": "NamespaceTerminating",
                "message": f"namespace {name} is being terminated",
                "field": "metadata.namespace",
            }
        ],
    }
    # What is there can still be changed: that is how a finalizer does its work.
    assert server.patch(held, {"spec": {"size": 2}}).status == 200
    release(server, held)
    gone(server, body)


def test_a_collection_is_deleted_by_label(server: Server) -> None:
    server.create(with_metadata(config_map("a"), labels={"x": "1"})).ok()
    server.create(with_metadata(config_map("b"), labels={"x": "2"})).ok()
    answer = server.request("DELETE", server.path(config_map(), name=""), params={"labelSelector": "x=1"})
    assert answer.status == 200
    gone(server, config_map("a"))
    assert server.find(config_map("b"))
