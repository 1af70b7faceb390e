"""Everything a rendering depends on, in one frozen value."""

import msgspec

from api.component import Component
from api.spec import PlatformSpec
from api.versions import SemVer, parse_version
from eventstore.vocabulary import ComponentName


class RenderContext(msgspec.Struct, frozen=True, kw_only=True):
    """The input of `components.registry.render`. The same context always renders the same bytes."""

    name: str
    namespace: str
    uid: str = ""
    spec: PlatformSpec
    #: Exact version per enabled component; one that is absent here is taken from the spec.
    versions: dict[str, str] = {}
    #: Path in the spec -> HMAC of the secret that stood there inline.
    inline_secrets: dict[str, str] = {}
    #: `Secret/loki-s3` -> hash over its content: a change rolls exactly the pods that read it.
    dependencies: dict[str, str] = {}

    def version(self, component: ComponentName) -> str:
        """Exact version of a component, without a leading v."""
        found = self.versions.get(component.value)
        return found or self.component(component).version

    def semver(self, component: ComponentName) -> SemVer:
        """The same, to compare with."""
        return parse_version(self.version(component))

    def component(self, component: ComponentName) -> Component:
        """Settings of an enabled component.

        Raises:
            KeyError: it is not enabled.
        """
        found = self.spec.component(component)
        if found is None:
            raise KeyError(component)
        return found

    def runs(self, component: ComponentName) -> bool:
        """Whether the component is enabled."""
        return self.spec.component(component) is not None

    def object_name(self, component: ComponentName, suffix: str = "") -> str:
        """`prod-loki`, `prod-loki-headless`."""
        return f"{self.name}-{component.value}" + (f"-{suffix}" if suffix else "")

    def pod_hosts(self, component: ComponentName) -> list[str]:
        """`prod-alertmanager-0.prod-alertmanager-headless`, one per replica."""
        name, headless = self.object_name(component), self.object_name(component, "headless")
        return [f"{name}-{number}.{headless}" for number in range(self.component(component).replicas)]

    def url(self, component: ComponentName, port: int) -> str:
        """URL of a component's Service, as pods of the same namespace reach it."""
        return f"http://{self.object_name(component)}:{port}"
