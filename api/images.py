"""Container images and the Secrets to pull them with."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from api.shapes import (
    IMAGE_DIGEST_PATTERN,
    IMAGE_PATTERN,
    IMAGE_REPOSITORY_PATTERN,
    IMAGE_TAG_PATTERN,
    Block,
    ObjectName,
    preserve,
)


class Image(Block):
    """A container image; parts that are not given come from the component's default image and version."""

    repository: Annotated[str, StringConstraints(strict=True, pattern=IMAGE_REPOSITORY_PATTERN, max_length=255)] = (
        Field(
            default="",
            description="Registry and repository, without a tag.",
            examples=["registry.example.com/prometheus"],
        )
    )
    tag: Annotated[str, StringConstraints(strict=True, pattern=IMAGE_TAG_PATTERN)] = Field(
        default="", description="Tag; the component's version when absent.", examples=["v3.13.2"]
    )
    digest: Annotated[str, StringConstraints(strict=True, pattern=IMAGE_DIGEST_PATTERN)] = Field(
        default="", description="Digest; wins over the tag.", examples=["sha256:" + "0" * 64]
    )


#: Characters of a whole reference.
IMAGE_LENGTH_MAX = 512


def _split_image(value: Any) -> Any:
    """`registry:5000/name:tag@sha256:...` -> its parts; what is not an image reference is left for the patterns."""
    if not isinstance(value, str):
        return value
    if len(value) > IMAGE_LENGTH_MAX or not re.fullmatch(IMAGE_PATTERN.strip("^$"), value):
        raise ValueError("not an image reference; write for example quay.io/prometheus/prometheus:v3.13.2")
    rest, _, digest = value.partition("@")
    head, _, last = rest.rpartition("/")
    name, _, tag = last.partition(":")
    parts = {"repository": f"{head}/{name}" if head else name, "tag": tag, "digest": digest}
    return {key: part for key, part in parts.items() if part}


#: A reference as text, or {repository, tag, digest}.
ImageField = Annotated[
    Image,
    BeforeValidator(_split_image),
    WithJsonSchema(preserve() | {"pattern": IMAGE_PATTERN, "maxLength": IMAGE_LENGTH_MAX}),
]


def _names(value: Any) -> Any:
    """`[{name: x}]` and `[x]` -> `[x]`."""
    if isinstance(value, list | tuple):
        return [entry["name"] if isinstance(entry, dict) and "name" in entry else entry for entry in value]
    return value


#: Names of Secrets; given as names or as {name}.
PullSecrets = Annotated[
    tuple[ObjectName, ...],
    Field(max_length=16),
    BeforeValidator(_names),
    WithJsonSchema({"type": "array", "maxItems": 16, "items": preserve()}),
]
