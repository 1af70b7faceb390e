"""A kubeconfig for a running sandbox."""

from pathlib import Path

import yaml


def kubeconfig(url: str, *, namespace: str = "default", token: str = "") -> str:
    """The text of a kubeconfig with one context, `sandbox`."""
    user = {"token": token} if token else {}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": {"server": url}}],
        "users": [{"name": "sandbox", "user": user}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox", "namespace": namespace}}],
        "current-context": "sandbox",
    }
    return yaml.safe_dump(content, sort_keys=False)


def write_kubeconfig(path: Path, url: str, *, namespace: str = "default", token: str = "") -> None:
    """Write the kubeconfig, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(kubeconfig(url, namespace=namespace, token=token))
