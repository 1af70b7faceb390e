"""What a platform should consist of: the accepted spec, rendered. Pure, and remembered because every pass asks."""

from collections.abc import Hashable, Mapping
from functools import lru_cache

import msgspec

from api.naming import inline_secret_name
from api.parsing import parse_spec
from api.references import Reference, references
from components.context import RenderContext
from components.findings import findings
from components.manifest import Manifest
from components.registry import render
from eventstore.events import Finding, ObjectRef
from eventstore.vocabulary import ComponentName
from projections.state import PlatformState, SpecState

#: A StorageClass is cluster-wide and not the operator's to read: a volume that it cannot bind shows in its pods.
_READ_BY_NAME = frozenset({"Secret", "ConfigMap"})
_decode_manifest = msgspec.json.Decoder(Manifest).decode


class DesiredObject(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest's identity: all that a plan needs of it."""

    key: str
    ref: ObjectRef
    component: ComponentName | None
    digest: str
    create_only: bool


class _Rendering:
    """The input of rendering, equal where it renders to the same; it holds no more than that, for it is remembered."""

    __slots__ = ("dependencies", "key", "name", "namespace", "spec")

    def __init__(self, state: PlatformState, spec: SpecState) -> None:
        self.name, self.namespace, self.spec = state.name, state.namespace, spec
        self.dependencies = dependency_digests(state)
        versions = tuple(sorted(spec.versions.items()))
        dependencies = tuple(sorted(self.dependencies.items()))
        self.key: tuple[Hashable, ...] = (state.stream_id, state.name, spec.digest, versions, dependencies)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Rendering) and self.key == other.key

    def context(self) -> RenderContext | None:
        """What the components render; None if the spec does not parse (another build accepted it)."""
        parsed = parse_spec(self.spec.spec, name=self.name, pinned=self.spec.versions).spec
        if parsed is None:
            return None
        return RenderContext(
            name=self.name,
            namespace=self.namespace,
            spec=parsed,
            versions=self.spec.versions,
            inline_secrets=self.spec.inline_secrets,
            dependencies=self.dependencies,
        )


def desired_objects(state: PlatformState) -> tuple[DesiredObject, ...]:
    """Identity and digest of every object the accepted spec asks for, in the order in which they are applied."""
    if state.accepted is None:
        return ()
    return _objects(_Rendering(state, state.accepted))


def is_renderable(state: PlatformState) -> bool:
    """Whether this build can make manifests of the accepted spec.

    An older or newer build may have accepted what this one refuses. Then nothing is known to be superfluous, and
    nothing may be written or deleted.
    """
    return state.accepted is not None and bool(desired_objects(state))


def desired_manifests(state: PlatformState) -> dict[str, Manifest]:
    """Digest -> manifest of every object the accepted spec asks for."""
    return {digest: _decode_manifest(content) for digest, content in desired_contents(state).items()}


def desired_manifest(state: PlatformState, digest: str) -> Manifest | None:
    """The manifest with this digest, if the accepted spec asks for it."""
    content = desired_contents(state).get(digest)
    return None if content is None else _decode_manifest(content)


def desired_contents(state: PlatformState) -> Mapping[str, bytes]:
    """Digest -> content of every manifest the accepted spec asks for."""
    return _rendered(_Rendering(state, state.accepted))[1] if state.accepted is not None else {}


def accepted_references(state: PlatformState) -> tuple[Reference, ...]:
    """Every Secret and ConfigMap the accepted spec refers to, without those the operator makes itself."""
    return references_of(state.accepted, state.name) if state.accepted else ()


def references_of(spec: SpecState, name: str) -> tuple[Reference, ...]:
    """Every Secret and ConfigMap that `spec` of the platform `name` refers to, without those we make ourselves."""
    return _references(_Referring(spec, name))


def rendering_findings(state: PlatformState, spec: SpecState) -> tuple[Finding, ...]:
    """What the components would refuse of `spec`; nothing if it does not parse."""
    return _findings(_Rendering(state, spec))


def dependency_digests(state: PlatformState) -> dict[str, str]:
    """`Secret/loki-s3` -> a word for its content, so that pods roll when what they refer to changes."""
    return {
        key: "|".join(f"{name}={mac}" for name, mac in sorted(dependency.keys.items()))
        for key, dependency in state.dependencies.items()
        if dependency.keys
    }


class _Referring:
    """A spec seen as the origin of references: equal where the digest is."""

    __slots__ = ("key", "name", "spec", "versions")

    def __init__(self, spec: SpecState, name: str) -> None:
        self.spec, self.versions, self.name, self.key = spec.spec, spec.versions, name, (spec.digest, name)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Referring) and self.key == other.key


@lru_cache(maxsize=1024)
def _references(referring: _Referring) -> tuple[Reference, ...]:
    parsed = parse_spec(referring.spec, name=referring.name, pinned=referring.versions).spec
    if parsed is None:
        return ()
    ours = inline_secret_name(referring.name)
    return tuple(
        reference for reference in references(parsed) if reference.kind in _READ_BY_NAME and reference.name != ours
    )


@lru_cache(maxsize=1024)
def _findings(rendering: _Rendering) -> tuple[Finding, ...]:
    context = rendering.context()
    return findings(context) if context else ()


# Digests are asked for in every pass of every platform, and are small. Contents are needed when something is applied: a
# platform that is being installed comes back for them a dozen times, and there may be many at once. As bytes (35 kB of
# all five components) they are a third of what they would be as objects.
@lru_cache(maxsize=4096)
def _objects(rendering: _Rendering) -> tuple[DesiredObject, ...]:
    return _rendered(rendering)[0]


@lru_cache(maxsize=128)
def _rendered(rendering: _Rendering) -> tuple[tuple[DesiredObject, ...], dict[str, bytes]]:
    context = rendering.context()
    objects: list[DesiredObject] = []
    contents: dict[str, bytes] = {}
    for manifest in render(context) if context else ():
        digest = manifest.digest
        contents[digest] = manifest.content
        objects.append(
            DesiredObject(
                key=manifest.ref.key,
                ref=manifest.ref,
                component=manifest.component,
                digest=digest,
                create_only=manifest.create_only,
            )
        )
    return tuple(objects), contents
