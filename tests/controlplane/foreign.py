"""A cluster that somebody else runs, in place of ours: kind, k3d, or a real one that may be written to."""

from base64 import b64decode
from pathlib import Path
from typing import Any

import yaml


class ForeignCluster:
    """What can be said of it. Its nodes and its API server are not ours to break: tests that need that are skipped."""

    node = None
    faults = None

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._cluster: dict[str, Any] = _current_cluster(yaml.safe_load(kubeconfig.read_text()))
        self.url = str(self._cluster["server"])

    def authority(self) -> bytes:
        """The certificates that its API server is to be believed by; empty: those of the machine."""
        if "certificate-authority-data" in self._cluster:
            return b64decode(self._cluster["certificate-authority-data"])
        file = self._cluster.get("certificate-authority")
        return (self.kubeconfig.parent / file).read_bytes() if file else b""


def _current_cluster(document: dict[str, Any]) -> dict[str, Any]:
    contexts = {entry["name"]: entry["context"] for entry in document["contexts"]}
    clusters = {entry["name"]: entry["cluster"] for entry in document["clusters"]}
    return dict(clusters[contexts[document["current-context"]]["cluster"]])
