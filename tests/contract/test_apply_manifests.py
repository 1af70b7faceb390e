"""All that the operator applies: every object it renders becomes the same object on each server, and stays so."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from components.manifest import Manifest
from reconciler.core.ownership import owned_digest, owners_of_changes
from tests.components.samples import FULL, rendered
from tests.contract.bodies import owned_by, platform
from tests.contract.server import ROOT, Object, Server

#: Differs from run to run, or is told by the server's settings.
_MASKED_METADATA = ("uid", "resourceVersion", "creationTimestamp", "generation", "ownerReferences")
_REVISION = "deployment.kubernetes.io/revision"
_MASKED_SPEC = ("clusterIP", "clusterIPs")


def example() -> Object:
    """The spec of examples/full.yaml."""
    document: Object = yaml.safe_load((ROOT / "examples" / "full.yaml").read_text())
    return dict(document["spec"])


SPECS = {"example": example(), "everything": FULL}


def bodies(spec: Object, owner: Object) -> Iterator[Object]:
    """What the executor sends, with a stand-in for each secret value."""
    for manifest in rendered(spec):
        yield _complete(manifest, owner)


def _complete(manifest: Manifest, owner: Object) -> Object:
    body = owned_by(copy.deepcopy(manifest.body), owner, controller=True, blockOwnerDeletion=False)
    if manifest.secret_sources:
        body["data"] = {**body.get("data", {}), **dict.fromkeys(manifest.secret_sources, "c3RhbmQtaW4=")}
    # The samples are rendered for a namespace that stands in their text; where they go is said by the URL.
    body["metadata"].pop("namespace", None)
    return body


def masked(item: Object) -> Object:
    """The object without what two servers must tell differently."""
    meta = {key: value for key, value in item["metadata"].items() if key not in _MASKED_METADATA}
    meta["managedFields"] = [
        {key: _masked_owner(value) if key == "fieldsV1" else value for key, value in entry.items() if key != "time"}
        for entry in meta["managedFields"]
        if entry["manager"] == "stackledger"
    ]
    del meta["namespace"]
    # The Deployment controller counts in here.
    meta["annotations"] = {key: value for key, value in meta.get("annotations", {}).items() if key != _REVISION}
    # The status is the controllers', which may have been there already.
    shown = {key: value for key, value in item.items() if key != "status"}
    if "spec" in item:
        shown["spec"] = {key: value for key, value in item["spec"].items() if key not in _MASKED_SPEC}
    return {**shown, "metadata": meta}


def _masked_owner(fields: Object) -> Object:
    metadata = {key: value for key, value in fields["f:metadata"].items() if key != "f:ownerReferences"}
    return {**fields, "f:metadata": metadata}


def stilled(body: Object) -> Object:
    """The body with no pods asked for: what the controllers write would come in between."""
    if body["kind"] in ("Deployment", "StatefulSet"):
        return {**body, "spec": {**body["spec"], "replicas": 0}}
    return body


@pytest.fixture
def owner(server: Server) -> Object:
    """The platform that everything belongs to."""
    return server.create(platform("prod")).ok()


@pytest.mark.parametrize("name", SPECS)
def test_everything_the_operator_renders_is_accepted_as_it_is(server: Server, owner: Object, name: str) -> None:
    for body in bodies(SPECS[name], owner):
        answer = server.apply(stilled(body), force=True, fieldValidation="Strict")
        assert answer.status == 201, f"{body['kind']} {body['metadata']['name']}: {answer.body}"
        assert answer.warning == ""


@pytest.mark.parametrize("name", SPECS)
def test_applying_it_again_changes_nothing(server: Server, owner: Object, name: str) -> None:
    for body in bodies(SPECS[name], owner):
        what = f"{body['kind']} {body['metadata']['name']}"
        first = server.apply(stilled(body), force=True).ok()
        second = server.apply(stilled(body), force=True).ok()
        assert masked(first) == masked(second), what
        assert owned_digest(first) == owned_digest(second) != "", what
        assert owners_of_changes(second, stilled(body)) == ((), ()), what
        if "status" not in second:
            # Nobody else writes these objects: not even the resourceVersion moves.
            assert first == second, what


@pytest.mark.parametrize("name", SPECS)
def test_reading_it_shows_no_drift(server: Server, owner: Object, name: str) -> None:
    sent = [stilled(body) for body in bodies(SPECS[name], owner)]
    digests = [owned_digest(server.apply(body, force=True).ok()) for body in sent]
    for body, digest in zip(sent, digests, strict=True):
        live = server.get(body).ok()
        assert owned_digest(live) == digest
        assert owners_of_changes(live, body) == ((), ())


@pytest.mark.parametrize("name", SPECS)
def test_every_server_makes_the_same_of_it(servers: list[Server], name: str) -> None:
    made: list[list[Any]] = []
    for server in servers:
        owner = server.create(platform("prod")).ok()
        made.append([masked(server.apply(stilled(body), force=True).ok()) for body in bodies(SPECS[name], owner)])
    for other in made[1:]:
        for left, right in zip(made[0], other, strict=True):
            assert left == right
