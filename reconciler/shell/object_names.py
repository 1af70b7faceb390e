"""Refuses names that the API server would read as something else: before any call is made. Pure.

An empty name in a DELETE removes a whole collection, and `..` removes the namespace: the URL is all the server sees.
"""

import re
from typing import Any

from eventstore.vocabulary import ErrorCategory
from reconciler.shell.cluster import ClusterError, KubernetesObject, Resource

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NAMESPACE = re.compile(_LABEL)
_PLURAL = re.compile(r"[a-z][a-z0-9-]{0,62}")
_API_VERSION = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*/)?v[0-9]+(?:(?:alpha|beta)[0-9]+)?")


class InvalidNameError(ClusterError):
    """A name that must not reach a URL."""

    def __init__(self, what: str, value: Any) -> None:
        text = repr(value)[:80]
        super().__init__(
            ErrorCategory.CONFIGURATION,
            "InvalidName",
            f"{what} {text} is not a valid DNS-1123 name: nothing was sent to the API server",
        )


def check_name(name: Any) -> str:
    """The name, if it is a DNS-1123 subdomain of 1 to 253 characters.

    Raises:
        InvalidNameError: it is not.
    """
    if not isinstance(name, str) or len(name) > 253 or not _NAME.fullmatch(name):
        raise InvalidNameError("object name", name)
    return name


def check_namespace(namespace: Any) -> str:
    """The namespace, if it is a DNS-1123 label of 1 to 63 characters.

    Raises:
        InvalidNameError: it is not.
    """
    if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
        raise InvalidNameError("namespace", namespace)
    return namespace


def collection_path(resource: Resource, namespace: str | None) -> str:
    """URL path of a kind in a namespace, or in all of them.

    Raises:
        InvalidNameError: a part of it is not a name.
    """
    if not _API_VERSION.fullmatch(resource.api_version) or not _PLURAL.fullmatch(resource.plural):
        raise InvalidNameError("resource", f"{resource.api_version}/{resource.plural}")
    root = f"/apis/{resource.api_version}" if "/" in resource.api_version else f"/api/{resource.api_version}"
    if namespace is None:
        return f"{root}/{resource.plural}"
    return f"{root}/namespaces/{check_namespace(namespace)}/{resource.plural}"


def object_path(resource: Resource, namespace: str, name: str) -> str:
    """URL path of one object.

    Raises:
        InvalidNameError: a part of it is not a name.
    """
    return f"{collection_path(resource, check_namespace(namespace))}/{check_name(name)}"


def name_of_body(resource: Resource, namespace: str, body: KubernetesObject) -> str:
    """Name of an object that is about to be sent, once it is sure that it is sent to where it says it belongs.

    Raises:
        InvalidNameError: kind, namespace or name do not fit the call.
    """
    if body.get("apiVersion") != resource.api_version or body.get("kind") != resource.kind:
        raise InvalidNameError(f"a body for {resource.api_version} {resource.kind} of kind", body.get("kind"))
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        raise InvalidNameError("object name", None)
    if metadata.get("namespace", namespace) != namespace:
        raise InvalidNameError(f"a body for namespace {namespace} in namespace", metadata.get("namespace"))
    return check_name(metadata.get("name"))
