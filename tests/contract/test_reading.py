"""Lists: order, pages, resourceVersions, selectors."""

import base64
import json
from typing import Any

import pytest

from tests.contract.samples import config_map, names, platform, widget
from tests.contract.server import Object, Server, eventually


def revision(listing: Object) -> int:
    return int(listing["metadata"]["resourceVersion"])


def fill(server: Server, *wanted: str) -> None:
    for name in wanted:
        server.create(config_map(name)).ok()


def test_a_list_is_sorted_by_name_and_says_what_it_is(server: Server) -> None:
    fill(server, "b", "a-b", "a", "a.b", "c1")
    listing = server.get(config_map(), labelSelector="").ok()
    found = [name for name in names(listing) if name != "kube-root-ca.crt"]
    assert found == ["a", "a-b", "a.b", "b", "c1"]
    assert (listing["kind"], listing["apiVersion"]) == ("ConfigMapList", "v1")
    assert set(listing["metadata"]) == {"resourceVersion"}


def test_items_of_a_built_in_list_carry_no_kind_and_those_of_a_custom_one_do(server: Server) -> None:
    fill(server, "a")
    server.create(widget("w")).ok()
    item = server.get(config_map()).ok()["items"][0]
    assert ("kind" in item, "apiVersion" in item) == (False, False)
    listing = server.get(widget()).ok()
    assert (listing["kind"], listing["apiVersion"]) == ("WidgetList", "example.com/v1beta1")
    assert (listing["items"][0]["kind"], listing["items"][0]["apiVersion"]) == ("Widget", "example.com/v1beta1")


def test_a_list_of_all_namespaces_is_sorted_by_the_whole_path(server: Server) -> None:
    first, second = server.namespace, f"{server.namespace}-b"
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": second}}).ok()
    for space in (first, second):
        body = config_map("x", {"of": server.namespace})
        body["metadata"]["namespace"] = space
        server.create(body).ok()
    listing = server.request("GET", "/api/v1/configmaps", params={"labelSelector": f"of={server.namespace}"}).ok()
    # "-" sorts before "/": paths are compared, not pairs.
    assert [item["metadata"]["namespace"] for item in listing["items"]] == [second, first]
    server.request("DELETE", f"/api/v1/namespaces/{second}")


def test_an_empty_list_has_items_and_a_revision(server: Server) -> None:
    listing = server.get(widget()).ok()
    assert listing["items"] == []
    assert revision(listing) > 0


def test_the_revision_of_a_list_is_not_below_that_of_its_items_and_moves_on(server: Server) -> None:
    fill(server, "a")
    first = server.get(config_map()).ok()
    assert revision(first) >= max(int(item["metadata"]["resourceVersion"]) for item in first["items"])
    fill(server, "b")
    assert revision(server.get(config_map()).ok()) > revision(first)


# -- pages ---------------------------------------------------------------------------------------------------------


def paged(server: Server, limit: int, **params: Any) -> list[Object]:
    """All pages of the Widgets."""
    pages: list[Object] = []
    token = None
    while True:
        pages.append(server.get(widget(), limit=limit, **params, **({"continue": token} if token else {})).ok())
        token = pages[-1]["metadata"].get("continue")
        if not token:
            return pages


def test_pages_make_up_the_whole_list_and_share_its_revision(server: Server) -> None:
    for name in ("a", "b", "c", "d", "e"):
        server.create(widget(name)).ok()
    pages = paged(server, 2)
    assert [names(page) for page in pages] == [["a", "b"], ["c", "d"], ["e"]]
    assert len({revision(page) for page in pages}) == 1
    assert [page["metadata"].get("remainingItemCount") for page in pages] == [3, 1, None]
    assert pages[-1]["metadata"]["continue"] == ""


def test_a_page_as_long_as_the_list_is_the_last(server: Server) -> None:
    server.create(widget("a")).ok()
    (page,) = paged(server, 1)
    assert set(page["metadata"]) == {"resourceVersion", "continue"}
    # What is typed in Go leaves out what is empty.
    fill(server, "a")
    assert set(server.get(config_map(), limit=500).ok()["metadata"]) == {"resourceVersion"}


def test_later_pages_show_the_objects_as_they_were_when_the_list_began(server: Server) -> None:
    for name in ("a", "b", "d", "e"):
        server.create(widget(name)).ok()
    first = server.get(widget(), limit=1).ok()
    server.create(widget("c")).ok()
    server.delete(widget("d")).ok()
    server.patch(widget("e"), {"spec": {"size": 4}}).ok()
    rest = server.get(widget(), limit=10, **{"continue": first["metadata"]["continue"]}).ok()
    assert names(rest) == ["b", "d", "e"]
    assert rest["items"][-1]["spec"]["size"] == 1
    assert revision(rest) == revision(first)
    assert names(server.get(widget()).ok()) == ["a", "b", "c", "e"]


def test_pages_of_a_selected_list_do_not_say_how_many_remain(server: Server) -> None:
    for name in ("a", "b", "c"):
        server.create(widget(name, {"x": "1"})).ok()
    pages = paged(server, 2, labelSelector="x=1")
    assert [names(page) for page in pages] == [["a", "b"], ["c"]]
    assert "remainingItemCount" not in pages[0]["metadata"]


def test_a_continue_token_says_where_and_when_in_the_usual_form(server: Server) -> None:
    for name in ("a", "b"):
        server.create(widget(name)).ok()
    page = server.get(widget(), limit=1).ok()
    token = page["metadata"]["continue"]
    content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    assert (content["v"], content["rv"]) == ("meta.k8s.io/v1", revision(page))
    assert content["start"].endswith("a\0")


def test_a_token_that_is_none_is_a_bad_request(server: Server) -> None:
    code, reason, message = server.get(widget(), limit=1, **{"continue": "nonsense"}).refusal()
    assert (code, reason) == (400, "BadRequest")
    assert "continue key is not valid" in message


def test_a_token_and_a_resource_version_do_not_go_together(server: Server) -> None:
    for name in ("a", "b"):
        server.create(widget(name)).ok()
    page = server.get(widget(), limit=1).ok()
    params = {"continue": page["metadata"]["continue"], "resourceVersion": page["metadata"]["resourceVersion"]}
    code, reason, message = server.get(widget(), **params).refusal()
    assert (code, reason) == (400, "BadRequest")
    assert message == "specifying resource version is not allowed when using continue"


# -- resourceVersion -----------------------------------------------------------------------------------------------


def test_resource_version_zero_and_not_older_than_answer_with_what_is_there(server: Server) -> None:
    created = server.create(widget("a")).ok()
    at = created["metadata"]["resourceVersion"]
    assert names(server.get(widget(), resourceVersion=at, resourceVersionMatch="NotOlderThan").ok()) == ["a"]
    assert names(server.get(widget(), resourceVersion=at).ok()) == ["a"]
    assert server.get(widget(), resourceVersion="0").ok()["kind"] == "WidgetList"


def test_an_exact_resource_version_shows_the_past(server: Server) -> None:
    created = server.create(widget("a")).ok()
    at = created["metadata"]["resourceVersion"]
    server.create(widget("b")).ok()
    server.patch(widget("a"), {"spec": {"size": 3}}).ok()
    listing = server.get(widget(), resourceVersion=at, resourceVersionMatch="Exact").ok()
    assert (names(listing), listing["items"][0]["spec"]["size"]) == (["a"], 1)
    assert listing["metadata"]["resourceVersion"] == at
    # A limit makes a bare resourceVersion an exact one.
    assert names(server.get(widget(), resourceVersion=at, limit=500).ok()) == ["a"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"resourceVersionMatch": "Exact"},
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
            'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
        ),
        (
            {"resourceVersionMatch": "Nearly", "resourceVersion": "5"},
            'resourceVersionMatch: Unsupported value: "Nearly": supported values: "Exact", "NotOlderThan", ""',
        ),
        ({"sendInitialEvents": "true"}, "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
    ],
)
def test_list_options_that_make_no_sense_are_invalid(server: Server, params: dict[str, str], message: str) -> None:
    code, reason, text = server.get(widget(), **params).refusal()
    assert (code, reason) == (422, "Invalid")
    assert text == f'ListOptions.meta.k8s.io "" is invalid: {message}'


@pytest.mark.parametrize("what", [widget(), config_map()])
def test_a_resource_version_from_the_future_is_a_timeout_that_says_so(server: Server, what: Object) -> None:
    answer = server.get(what, resourceVersion="900000000000")
    code, reason, message = answer.refusal()
    assert (code, reason) == (504, "Timeout")
    assert message.startswith("Timeout: Too large resource version: 900000000000, current: ")
    assert answer.causes == [("ResourceVersionTooLarge", "", "Too large resource version")]
    assert answer.body["details"]["retryAfterSeconds"] == 1


def test_a_resource_version_that_is_no_number_is_refused(server: Server) -> None:
    wrong = 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'
    for what in (widget(), config_map()):
        refused = server.get(what, resourceVersion="abc").refusal()
        assert refused == (400, "BadRequest", f"invalid resource version: {wrong}")


def test_an_object_is_read_at_or_after_a_resource_version(server: Server) -> None:
    at = server.create(widget("a")).ok()["metadata"]["resourceVersion"]
    assert server.get(widget("a"), resourceVersion=at).ok()["metadata"]["resourceVersion"] == at
    assert server.get(widget("a"), resourceVersion="0").status == 200
    assert server.get(widget("a"), resourceVersion="900000000000").refusal()[:2] == (504, "Timeout")


# -- selectors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("x=1", ["a", "c"]),
        ("x==1", ["a", "c"]),
        ("x!=1", ["b", "d"]),
        ("x in (1,2)", ["a", "b", "c"]),
        ("x notin (1)", ["b", "d"]),
        ("x", ["a", "b", "c"]),
        ("!x", ["d"]),
        ("x=1,y", ["c"]),
        ("x=", []),
        ("y=", ["c"]),
        ("x in (1), !y", ["a"]),
        ("example.com/z=v.1_2-3", ["d"]),
        ("x>1", ["b"]),
        ("x<2", ["a", "c"]),
    ],
)
def test_label_selectors(server: Server, selector: str, found: list[str]) -> None:
    labels = {"a": {"x": "1"}, "b": {"x": "2"}, "c": {"x": "1", "y": ""}, "d": {"example.com/z": "v.1_2-3"}}
    for name, carried in labels.items():
        server.create(widget(name, carried)).ok()
    assert names(server.get(widget(), labelSelector=selector).ok()) == found


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("x in 1", "unable to parse requirement: found '1' expected: '('"),
        ("x=(", "unable to parse requirement: found '(', expected: identifier"),
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("x in (1", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a,=", "found '=', expected: identifier after ','"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
    ],
)
def test_a_label_selector_that_does_not_parse_is_a_bad_request(server: Server, selector: str, message: str) -> None:
    assert server.get(widget(), labelSelector=selector).refusal() == (400, "BadRequest", message)


def test_field_selectors_of_a_custom_kind_know_name_and_namespace(server: Server) -> None:
    for name in ("a", "b"):
        server.create(widget(name)).ok()
    assert names(server.get(widget(), fieldSelector="metadata.name=b").ok()) == ["b"]
    assert names(server.get(widget(), fieldSelector="metadata.name!=b").ok()) == ["a"]
    selector = f"metadata.namespace={server.namespace},metadata.name=a"
    path = "/apis/example.com/v1beta1/widgets"
    assert names(server.request("GET", path, params={"fieldSelector": selector}).ok()) == ["a"]
    code, reason, message = server.get(widget(), fieldSelector="spec.size=1").refusal()
    assert (code, reason, message) == (400, "BadRequest", "field label not supported: spec.size")


def test_a_field_selector_that_does_not_parse_is_a_bad_request(server: Server) -> None:
    code, reason, message = server.get(widget(), fieldSelector="metadata.name").refusal()
    assert (code, reason) == (400, "BadRequest")
    assert message == "invalid selector: 'metadata.name'; can't understand 'metadata.name'"


def test_field_selectors_of_built_in_kinds(server: Server) -> None:
    body: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "example.com/x"}
    server.create(body).ok()
    secrets: Object = {"apiVersion": "v1", "kind": "Secret"}
    assert names(server.get(secrets, fieldSelector="type=example.com/x").ok()) == ["s"]
    code, reason, message = server.get(config_map(), fieldSelector="data.a=1").refusal()
    assert (code, reason) == (400, "BadRequest")
    known = '"metadata.name", "metadata.namespace"'
    assert message == f'"data.a" is not a known field selector: only {known}'


def test_selectable_fields_of_a_definition_can_be_selected_by(server: Server) -> None:
    group = f"{server.namespace}.example.com"
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {"colour": {"type": "string"}, "count": {"type": "integer"}, "on": {"type": "boolean"}},
            }
        },
    }
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"paints.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": "Paint", "plural": "paints"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "selectableFields": [{"jsonPath": f".spec.{name}"} for name in ("colour", "count", "on")],
                }
            ],
        },
    }
    server.create(body).ok()
    paint: Object = {"apiVersion": f"{group}/v1", "kind": "Paint"}
    try:
        eventually_served(server, paint)
        for name, spec in (("a", {"colour": "red", "count": 1, "on": True}), ("b", {"colour": "blue"})):
            server.create({**paint, "metadata": {"name": name}, "spec": spec}).ok()
        assert names(server.get(paint, fieldSelector="spec.colour=red").ok()) == ["a"]
        assert names(server.get(paint, fieldSelector="spec.colour!=red").ok()) == ["b"]
        assert names(server.get(paint, fieldSelector="spec.count=1,spec.on=true").ok()) == ["a"]
        assert names(server.get(paint, fieldSelector="spec.colour=red,metadata.name=b").ok()) == []
    finally:
        server.delete(body)


def eventually_served(server: Server, what: Object) -> None:
    """Wait until a fresh definition is served."""
    eventually(lambda: server.get(what).status == 200, f"{what['kind']} served")


# -- forms ---------------------------------------------------------------------------------------------------------

PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def test_metadata_alone_of_an_object_and_of_a_list(server: Server) -> None:
    server.create(platform()).ok()
    one = server.request("GET", server.path(platform()), accept=PARTIAL).ok()
    assert (one["kind"], one["apiVersion"], "spec" in one) == ("PartialObjectMetadata", "meta.k8s.io/v1", False)
    assert one["metadata"]["name"] == "prod"
    many = server.request("GET", server.path(platform(""), name=""), accept=PARTIAL_LIST).ok()
    assert (many["kind"], many["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert names(many) == ["prod"]
    assert "spec" not in many["items"][0]
    assert many["metadata"]["resourceVersion"]


def test_a_list_asked_for_as_the_metadata_of_one_object_is_not_acceptable(server: Server) -> None:
    server.create(widget("a")).ok()
    answer = server.request("GET", server.path(widget()), accept=PARTIAL)
    code, reason, message = answer.refusal()
    assert (code, reason) == (406, "NotAcceptable")
    listed = "the requested object is a list (*unstructured.UnstructuredList)"
    assert message == f"you requested PartialObjectMetadata, but {listed}"
    code, reason, message = server.request("GET", server.path(config_map()), accept=PARTIAL).refusal()
    assert (code, reason) == (406, "NotAcceptable")
    assert message == "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)"


def test_an_object_asked_for_as_a_list_of_metadata_is_not_acceptable(server: Server) -> None:
    server.create(widget("a")).ok()
    server.create(config_map("a")).ok()
    answer = server.request("GET", server.path(config_map("a")), accept=PARTIAL_LIST)
    listed = "the requested object is not a list (*core.ConfigMap)"
    assert answer.refusal() == (406, "NotAcceptable", f"you requested PartialObjectMetadataList, but {listed}")
    answer = server.request("GET", server.path(widget("a")), accept=PARTIAL_LIST)
    assert answer.refusal() == (500, "", "content is not a list")


@pytest.mark.parametrize(
    "accept", ["application/json", "*/*", "application/json;as=Nonsense;g=x;v=v1, application/json"]
)
def test_what_is_accepted_falls_back_to_json(server: Server, accept: str) -> None:
    server.create(widget("a")).ok()
    answer = server.request("GET", server.path(widget("a")), accept=accept)
    assert answer.ok()["kind"] == "Widget"
    assert answer.headers["content-type"].startswith("application/json")


def test_a_form_that_nobody_speaks_is_not_acceptable(server: Server) -> None:
    code, reason, message = server.request("GET", server.path(widget()), accept="text/csv").refusal()
    assert (code, reason) == (406, "NotAcceptable")
    known = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    assert message == f"only the following media types are accepted: {known}"
    code, reason, message = server.request("GET", server.path(config_map()), accept="text/csv").refusal()
    assert (code, reason) == (406, "NotAcceptable")
    assert message.startswith(f"406: Not Acceptable\n\nAvailable representations: {known}")


def test_yaml_is_spoken(server: Server) -> None:
    server.create(widget("a")).ok()
    answer = server.request("GET", server.path(widget("a")), accept="application/yaml")
    assert answer.status == 200
    assert answer.raw.startswith(b"apiVersion: example.com/v1beta1\nkind: Widget\n")
