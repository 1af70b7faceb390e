"""What the tests of the manifests share."""

import pytest

from tests.project import kustomize
from tests.project.real_kubectl import kubectl_path


@pytest.fixture(scope="session")
def base() -> list[kustomize.KubernetesObject]:
    """deploy/base, rendered."""
    return kustomize.render(kubectl_path(), "deploy/base")


@pytest.fixture(scope="session")
def kind_overlay() -> list[kustomize.KubernetesObject]:
    """deploy/kind, rendered."""
    return kustomize.render(kubectl_path(), "deploy/kind")
