"""What the tests of the manifests share."""

import pytest

from tests.fixtures.kubectl import kubectl_binary
from tests.project import kustomize


@pytest.fixture(scope="session")
def base() -> list[kustomize.KubernetesObject]:
    """deploy/base, rendered."""
    return kustomize.render(kubectl_binary(), "deploy/base")


@pytest.fixture(scope="session")
def kind_overlay() -> list[kustomize.KubernetesObject]:
    """deploy/kind, rendered."""
    return kustomize.render(kubectl_binary(), "deploy/kind")
