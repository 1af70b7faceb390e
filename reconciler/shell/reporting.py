"""Tells metrics and log lines of what was appended: each recorded fact is counted once, by whoever recorded it."""

from collections import Counter
from collections.abc import Iterable

import structlog

from eventstore import events as e
from eventstore.vocabulary import ComponentName, ErrorCategory
from projections.state import PlatformState
from reconciler.shell.metrics import Metrics

_log = structlog.get_logger(__name__)


class Reporter:
    """The `Announce` of the loop."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._phases: dict[str, str] = {}

    def __call__(self, state: PlatformState, events: Iterable[e.Event], first_version: int) -> None:
        """Report the events appended as versions `first_version ..`, which led to `state`."""
        for version, event in enumerate(events, start=first_version):
            self._report(state, event, version)
        if state.closed:
            self._metrics.forget_platform(state.namespace, state.name)
        self._count(state)

    def show(self, state: PlatformState) -> None:
        """Show the gauges of a platform that this process did not change yet."""
        for name, component in state.components.items():
            self._metrics.component_phase(state.namespace, state.name, name, component.phase)
        self._count(state)

    def _count(self, state: PlatformState) -> None:
        if state.closed or state.phase is None:
            self._phases.pop(state.stream_id, None)
        else:
            self._phases[state.stream_id] = state.phase.value
        # A copy: several workers report at once.
        self._metrics.set_platforms(Counter(list(self._phases.values())))

    def _report(self, state: PlatformState, event: e.Event, version: int) -> None:
        where = (state.namespace, state.name)
        platform = "/".join(where)
        match event:
            case e.PhaseChanged():
                self._metrics.transition(*where, event.from_phase, event.to_phase, event.trigger)
                _log.info(
                    "transition",
                    platform=platform,
                    seq=version,
                    from_phase=event.from_phase,
                    to_phase=event.to_phase,
                    reason=event.reason,
                    message=event.message,
                )
            case e.ComponentPhaseChanged():
                self._metrics.component_phase(*where, event.component, event.to_phase)
                _log.info(
                    "component",
                    platform=platform,
                    seq=version,
                    component=event.component,
                    to_phase=event.to_phase,
                    reason=event.reason,
                    message=event.message,
                )
            case e.ComponentRemoved():
                self._metrics.component_phase(*where, ComponentName(event.component), None)
            case e.ActionFailed():
                self._metrics.error(event.category, event.reason)
                _log.warning(
                    "action_failed",
                    platform=platform,
                    seq=version,
                    object=str(event.ref),
                    category=event.category,
                    reason=event.reason,
                    message=event.message,
                )
            case e.SpecRejected():
                for finding in event.findings:
                    self._metrics.error(ErrorCategory.CONFIGURATION, finding.reason)
                    _log.warning("spec_rejected", platform=platform, seq=version, message=finding.message)
            case e.DriftDetected():
                _log.warning(
                    "drift",
                    platform=platform,
                    seq=version,
                    object=str(event.ref),
                    kind=event.kind,
                    managers=event.managers,
                    paths=event.paths,
                )
            case _:
                _log.debug("event", platform=platform, seq=version, type=type(event).__name__)
