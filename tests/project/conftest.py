"""What the tests of the manifests share."""

from pathlib import Path

import pytest
from tests.fixtures.kubectl import kubectl_path

from tests.project import kustomize


@pytest.fixture(scope="session")
def base() -> list[kustomize.KubernetesObject]:
    """deploy/base, rendered."""
    return kustomize.render(Path(kubectl_path()), "deploy/base")


@pytest.fixture(scope="session")
def kind_overlay() -> list[kustomize.KubernetesObject]:
    """deploy/kind, rendered."""
    return kustomize.render(Path(kubectl_path()), "deploy/kind")
