"""All components and how to render them. Adding a component = adding a module and a line here."""

from collections.abc import Callable

import msgspec

from api.spec import PlatformSpec
from components import alertmanager, grafana, loki, prometheus, tempo
from components.context import RenderContext
from components.images import image_reference, image_version
from components.inline import inline_secret
from components.manifest import Manifest
from components.pods import Design, Facts
from eventstore.events import ObjectRef
from eventstore.vocabulary import INSTALL_ORDER, ComponentName


class ComponentModule(msgspec.Struct, frozen=True):
    """What the rest of the operator needs to know of one component."""

    facts: Facts
    #: Spec -> manifests in apply order.
    render: Callable[[RenderContext], list[Manifest]]
    #: Spec -> what the manifests are assembled from.
    design: Callable[[RenderContext], Design]

    @property
    def name(self) -> ComponentName:
        """The component."""
        return self.facts.name

    def workload(self, context: RenderContext) -> ObjectRef:
        """The StatefulSet or Deployment."""
        return workload_ref(self.name, context.name, context.spec)


COMPONENTS: dict[ComponentName, ComponentModule] = {
    module.FACTS.name: ComponentModule(module.FACTS, module.render, module.design)
    for module in (prometheus, loki, tempo, grafana, alertmanager)
}


def render(context: RenderContext) -> tuple[Manifest, ...]:
    """Manifests of all enabled components in install order, within each in apply order.

    Raises:
        ConfigValueError: see `components.findings.findings`, which turns it into words for the user.
    """
    found = inline_secret(context)
    for name in INSTALL_ORDER:
        if context.runs(name):
            found += COMPONENTS[name].render(context)
    return tuple(found)


def workload_ref(component: ComponentName, platform: str, spec: PlatformSpec | None = None) -> ObjectRef:
    """The StatefulSet or Deployment of a component; without a spec, the StatefulSet that all but Grafana always are."""
    kind = "StatefulSet"
    if spec is not None and spec.component(component) is not None:
        context = RenderContext(name=platform, namespace="", spec=spec)
        kind = "StatefulSet" if COMPONENTS[component].design(context).stateful else "Deployment"
    return ObjectRef("apps/v1", kind, f"{platform}-{component.value}")


def image(component: ComponentName, context: RenderContext) -> str:
    """The image reference that a component runs with."""
    return image_reference(context, COMPONENTS[component].facts)


def running_version(component: ComponentName, image: str) -> str:  # noqa: ARG001 - all components tag alike today
    """Version that an image reference stands for, without a leading v; "" if its tag is none."""
    return image_version(image)
