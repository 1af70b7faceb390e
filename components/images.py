"""Image references, and the version that one stands for."""

import re

from components.context import RenderContext
from components.pods import Facts

_TAG = re.compile(r"v?(\d+\.\d+\.\d+)(-(?:rc|beta|alpha|pre)[-.0-9A-Za-z]*)?(?:[-+.].*)?")


def image_reference(context: RenderContext, facts: Facts) -> str:
    """The image of a component: the spec's parts over the default ones, the registry override, the exact version."""
    given = context.component(facts.name).image
    repository = given.repository if given and given.repository else _default_repository(context, facts)
    tag = given.tag if given and given.tag else f"{facts.tag_prefix}{context.version(facts.name)}"
    digest = f"@{given.digest}" if given and given.digest else ""
    return f"{repository}:{tag}{digest}"


def _default_repository(context: RenderContext, facts: Facts) -> str:
    registry = context.spec.global_.image_registry
    _, _, path = facts.repository.partition("/")
    return f"{registry}/{path}" if registry else facts.repository


def image_version(image: str) -> str:
    """Version in the tag of an image reference: `quay.io/x/y:v3.13.2@sha256:...` -> `3.13.2`; "" if it has none."""
    name = image.partition("@")[0].rpartition("/")[2]
    match = _TAG.fullmatch(name.partition(":")[2])
    return match[1] + (match[2] or "") if match else ""
