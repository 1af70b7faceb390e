"""Renders the kustomizations in deploy/ with the kustomize inside a real kubectl."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.project.tidy import ROOT

KubernetesObject = dict[str, Any]


def render(kubectl: Path, folder: str) -> list[KubernetesObject]:
    """The objects that `kubectl apply -k` would send, in its order."""
    done = subprocess.run([kubectl, "kustomize", ROOT / folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", f"kustomize warns: {done.stderr}"
    return list(yaml.safe_load_all(done.stdout))


def of_kind(objects: list[KubernetesObject], kind: str) -> list[KubernetesObject]:
    """The objects of one kind."""
    return [item for item in objects if item["kind"] == kind]


def pod_templates(objects: list[KubernetesObject]) -> dict[str, KubernetesObject]:
    """`Deployment/stackledger` -> pod spec, for everything that starts pods."""
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["spec"]["template"]["spec"]
        for item in objects
        if "template" in item.get("spec", {})
    }
