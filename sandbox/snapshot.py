"""The state of a sandbox in one file."""

import json
import os
from pathlib import Path
from typing import Any

from sandbox import customkinds
from sandbox.kinds import CRD_KEY, GroupKind
from sandbox.model import ClusterModel
from sandbox.world import Settings

_FORMAT = 1
_REVISIONS_SKIPPED = 1000


def content(model: ClusterModel, settings: Settings) -> bytes:
    """The snapshot; to be taken under the store's lock."""
    store = model.store
    body = {
        "format": _FORMAT,
        "revision": store.revision,
        "objects": [[*key, store.get(key, name)] for key, name in store.places()],
        "broken": [[*place, reason] for place, reason in sorted(settings.broken.items())],
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def write(file: Path, data: bytes) -> None:
    """Replace the file at once, or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".tmp")
    # Secrets are in it.
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(file)


def load(file: Path, model: ClusterModel, settings: Settings) -> None:
    """Take a snapshot over.

    Raises:
        ValueError: the file is no snapshot, or of another format.
    """
    body: dict[str, Any] = json.loads(file.read_bytes().decode("utf-8", "surrogatepass"))
    if not isinstance(body, dict) or body.get("format") != _FORMAT:
        raise ValueError(f"{file} is not a snapshot of this sandbox: remove it to start afresh")
    objects = [(GroupKind(group, plural), item) for group, plural, item in body["objects"]]
    for key, item in objects:
        if key == CRD_KEY:
            model.registry.add(customkinds.kind_of(item))
    # Writes after the snapshot may be lost: their revisions must not be given out again.
    model.store.restore(body["revision"] + _REVISIONS_SKIPPED, objects)
    settings.broken.update({(namespace, name): reason for namespace, name, reason in body["broken"]})
