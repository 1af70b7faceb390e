"""A manifest: one Kubernetes object as it should be, with no secret value in it."""

import hashlib
from typing import Any, Literal

import msgspec

from eventstore.events import ObjectRef
from eventstore.vocabulary import ComponentName


class SecretSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the value of a Secret's key comes from; the executor fills it in when it sends the object."""

    #: `inline`: the value that stands in the live resource's spec at `path`. `generated`: random, made once.
    kind: Literal["inline", "generated"]
    path: str = ""
    #: HMAC of the inline value, so that a changed value changes the manifest's digest.
    hmac: str = ""
    #: Length of a generated value, characters.
    length: int = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One desired object; `body` is complete but for namespace, owner reference and secret values."""

    ref: ObjectRef
    component: ComponentName | None
    body: dict[str, Any]
    #: Key of a Secret -> where its value comes from.
    secret_sources: dict[str, SecretSource] = {}
    #: Created if absent and never overwritten (generated passwords).
    create_only: bool = False

    @property
    def content(self) -> bytes:
        """Canonical JSON of the manifest: what the content store keeps."""
        return msgspec.json.encode(self, order="sorted")

    @property
    def digest(self) -> str:
        """`sha256:` and the hash of `content`."""
        return "sha256:" + hashlib.sha256(self.content).hexdigest()
