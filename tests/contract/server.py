"""An API server as a contract test sees it: raw HTTP, a real kubectl, and a namespace of the test's own.

Nothing in here knows which server it is: a test that runs against one runs unchanged against the other.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

import urllib3
import yaml

from reconciler.shell.api_configuration import load_configuration
from tests.fixtures.kubectl import Kubectl, kubectl_binary

Object = dict[str, Any]
T = TypeVar("T")

ROOT = Path(__file__).parents[2]
WIDGETS = ROOT / "tests" / "sandbox" / "widgets.yaml"
PLATFORMS = ROOT / "deploy" / "crds" / "observabilityplatforms.yaml"

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
#: The part before the slash is the field manager of a write that names none.
USER_AGENT = "contract/1"

_CLUSTER_SCOPED = frozenset(["Namespace", "Node", "StorageClass", "CustomResourceDefinition", "PersistentVolume"])
_PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses", "StorageClass": "storageclasses"}


class Answer(NamedTuple):
    """One answer of the server."""

    status: int
    #: The parsed JSON, or the text if it is none.
    body: Any
    #: Names in lower case.
    headers: Mapping[str, str]
    #: The bytes as they came.
    raw: bytes

    def ok(self) -> Object:
        """The object; the test fails if the server refused."""
        assert self.status in (200, 201, 202), f"{self.status}: {self.body}"
        assert isinstance(self.body, dict), self.body
        return self.body

    def refusal(self) -> tuple[int, str, str]:
        """(code, reason, message) of a `Status`; the test fails if the server agreed."""
        assert self.status >= 400, f"{self.status}: {self.body}"
        assert isinstance(self.body, dict), self.body
        return self.status, self.body.get("reason", ""), self.body.get("message", "")

    @property
    def causes(self) -> list[tuple[str, str, str]]:
        """(reason, field, message) of every cause of a `Status`, sorted."""
        causes = (self.body.get("details") or {}).get("causes") or []
        return sorted((one.get("reason", ""), one.get("field", ""), one.get("message", "")) for one in causes)

    @property
    def warning(self) -> str:
        """The `Warning` headers; "" if there are none."""
        return self.headers.get("warning", "")


class Connection:
    """An API server reached through a kubeconfig, with whatever credentials stand in it. Safe for many threads."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._configuration = load_configuration(str(kubeconfig))
        self.url: str = self._configuration.host.rstrip("/")
        #: Made for tests, to be removed at the end.
        self.namespaces: list[str] = []
        options: dict[str, Any] = {"maxsize": 16, "retries": False}
        if self.url.startswith("https:"):
            options |= {
                "ca_certs": self._configuration.ssl_ca_cert,
                "cert_file": self._configuration.cert_file,
                "key_file": self._configuration.key_file,
                "cert_reqs": "CERT_REQUIRED" if self._configuration.verify_ssl else "CERT_NONE",
            }
        self._pool = urllib3.PoolManager(**options)

    def open(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        *,
        content_type: str = JSON,
        accept: str = JSON,
        seconds: float = 30.0,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; `body` is sent as JSON unless it is bytes or text."""
        headers = {"Accept": accept, "User-Agent": USER_AGENT}
        settings: Mapping[str, Any] = self._configuration.auth_settings()
        for setting in settings.values():
            if setting["value"]:
                headers[setting["key"]] = setting["value"]
        if isinstance(body, str):
            body = body.encode()
        elif body is not None and not isinstance(body, bytes):
            body = json.dumps(body, ensure_ascii=False).encode()
        if body is not None and content_type:
            headers["Content-Type"] = content_type
        query = urlencode({name: _shown(value) for name, value in (params or {}).items() if value is not None})
        return self._pool.request(
            method,
            f"{self.url}{path}" + (f"?{query}" if query else ""),
            headers=headers,
            body=body,
            timeout=urllib3.Timeout(connect=5.0, read=seconds),
            preload_content=not stream,
        )

    def request(self, method: str, path: str, body: Any = None, params: Any = None, **how: Any) -> Answer:
        """The answer to a request, whatever it is. `how`: as for `open`."""
        response = self.open(method, path, body, params, **how)
        raw = response.data
        try:
            parsed: Any = json.loads(raw)
        except ValueError:
            parsed = raw.decode(errors="replace")
        headers = {name.lower(): ", ".join(response.headers.getlist(name)) for name in response.headers}
        return Answer(response.status, parsed, headers, raw)

    def close(self) -> None:
        """Drop the connections."""
        self._pool.clear()


class Server:
    """A server and a fresh namespace on it."""

    def __init__(self, connection: Connection, namespace: str, home: Path) -> None:
        self._connection, self.namespace, self._home = connection, namespace, home
        self.url, self.kubeconfig = connection.url, connection.kubeconfig

    def request(self, method: str, path: str, body: Any = None, params: Any = None, **how: Any) -> Answer:
        """One raw call: `content_type`, `accept` and `seconds` may be given by name."""
        return self._connection.request(method, path, body, params, **how)

    def path(self, what: Object, subresource: str = "", *, name: str | None = None) -> str:
        """Path of an object, or of its collection if it has no name (`name=""` leaves it out).

        `what` is anything with apiVersion, kind and metadata; the namespace is the test's unless it names another.
        """
        meta = what.get("metadata") or {}
        version, kind = what["apiVersion"], what["kind"]
        parts = ["/apis" if "/" in version else "/api", version]
        if kind not in _CLUSTER_SCOPED:
            parts += ["namespaces", meta.get("namespace") or self.namespace]
        parts.append(_PLURALS.get(kind) or f"{kind.lower()}s")
        name = meta.get("name", "") if name is None else name
        return "/".join([*parts, *([name] if name else []), *([subresource] if subresource else [])])

    def create(self, body: Object, **params: Any) -> Answer:
        """POST to the collection."""
        return self.request("POST", self.path(body, name=""), body, params)

    def get(self, what: Object, subresource: str = "", **params: Any) -> Answer:
        """GET of an object; of the collection, if it has no name."""
        return self.request("GET", self.path(what, subresource), params=params)

    def replace(self, body: Object, subresource: str = "", **params: Any) -> Answer:
        """PUT."""
        return self.request("PUT", self.path(body, subresource), body, params)

    def patch(self, what: Object, body: Any, patch_type: str = MERGE, subresource: str = "", **params: Any) -> Answer:
        """PATCH of another kind than server-side apply."""
        return self.request("PATCH", self.path(what, subresource), body, params, content_type=patch_type)

    def apply(
        self, body: Object, manager: str = "stackledger", subresource: str = "", force: bool = False, **params: Any
    ) -> Answer:
        """Server-side apply."""
        query = {"fieldManager": manager, **({"force": True} if force else {}), **params}
        return self.request("PATCH", self.path(body, subresource), body, query, content_type=APPLY)

    def delete(self, what: Object, options: Object | None = None, **params: Any) -> Answer:
        """DELETE of one object; `options` are the fields of DeleteOptions."""
        assert (what.get("metadata") or {}).get("name"), "a DELETE without a name deletes the whole collection"
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options} if options is not None else None
        return self.request("DELETE", self.path(what), body, params)

    def find(self, what: Object) -> Object | None:
        """The object as it is now; None if it does not exist."""
        answer = self.get(what)
        return None if answer.status == 404 else answer.ok()

    def lines(self, path: str, params: Mapping[str, Any], seconds: float = 10.0) -> Iterator[Object]:
        """Events of a watch (`watch=1` is added) until the server ends it; silence for `seconds` is an error."""
        query = {"watch": "1", **params}
        response = self._connection.open("GET", path, None, query, seconds=seconds, stream=True)
        try:
            assert response.status == 200, response.read()
            rest = b""
            for chunk in response.stream(65536):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (json.loads(line) for line in whole if line)
        finally:
            response.close()

    @cached_property
    def kubectl(self) -> Kubectl:
        """The real kubectl, with the test's namespace as its default."""
        content = yaml.safe_load(self.kubeconfig.read_text())
        for context in content["contexts"]:
            context["context"]["namespace"] = self.namespace
        for entry in [*content["clusters"], *content["users"]]:
            for values in (entry.get("cluster"), entry.get("user")):
                for key in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
                    if values and values.get(key):
                        values[key] = str(self.kubeconfig.parent / values[key])
        file = self._home / f"kubeconfig-{self.namespace}"
        file.write_text(yaml.safe_dump(content))
        return Kubectl(kubectl_binary(), file, self._home)


def eventually(question: Callable[[], T | None], what: str, seconds: float = 20.0) -> T:
    """What the question answers, asked until it answers something true; the test fails after `seconds`."""
    ends = time.monotonic() + seconds
    pause = 0.02
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < ends, f"not within {seconds:.0f} s: {what}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def install_definitions(connection: Connection) -> None:
    """Our own definition and that of the Widget; served when this returns. May be done by several at once."""
    for file in (PLATFORMS, WIDGETS):
        for body in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader):
            path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            name, params = body["metadata"]["name"], {"fieldManager": "contract", "force": "true"}
            connection.request("PATCH", f"{path}/{name}", body, params, content_type=APPLY).ok()
            group = f"/apis/{body['spec']['group']}"
            for version in body["spec"]["versions"]:
                plural = f"{group}/{version['name']}/{body['spec']['names']['plural']}"
                eventually(partial(_is_served, connection, plural), f"{plural} served")


def _is_served(connection: Connection, path: str) -> bool:
    return connection.request("GET", path).status == 200
