"""Hands on the nodes: what their pods do is decided by a test. The words are those of the sandbox (docs/sandbox.md)."""

from typing import Any

import urllib3


class NodeHands:
    """Speaks to the control API of `controlplane kubelet`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = urllib3.PoolManager()

    def break_workload(self, namespace: str, workload: str, reason: str = "CrashLoopBackOff") -> None:
        """The pods of a Deployment, StatefulSet, Job or Pod of this name fail, now and later: docs/sandbox.md."""
        self._post("break", namespace=namespace, workload=workload, reason=reason)

    def repair_workload(self, namespace: str, workload: str) -> None:
        """They are well again."""
        self._post("repair", namespace=namespace, workload=workload)

    def set_ready_delay(self, seconds: float) -> None:
        """How long pods take from now on."""
        self._post("ready-delay", seconds=seconds)

    def freeze(self) -> None:
        """Nothing happens on the nodes until `thaw`."""
        self._post("freeze")

    def thaw(self) -> None:
        """Go on."""
        self._post("thaw")

    def _post(self, name: str, **fields: Any) -> None:
        answer = self._client.request("POST", f"{self._url}/{name}", json=fields, timeout=5.0)
        if answer.status != 200:
            raise RuntimeError(f"/{name}: {answer.status} {answer.data.decode()[:300]}")
