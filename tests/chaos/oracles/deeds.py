"""Nothing is deleted, and so made twice, that nobody asked to be: told by watching from outside."""

from collections import Counter
from collections.abc import Iterator

from tests.chaos.facts import Facts, Violation
from tests.chaos.recorder import Sighting
from tests.chaos.user import Incarnation

#: Made by others, or judged by another oracle.
_NOT_OURS = frozenset({"Pod", "Event", "PersistentVolumeClaim", "ObservabilityPlatform"})
_SLACK_SECONDS = 0.5


def deeds(facts: Facts) -> Iterator[Violation]:
    """Every child that went had a reason to, and none was made more often than it went."""
    gone, made = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    for seen in facts.sightings:
        if seen.kind in _NOT_OURS or not seen.owner:
            continue
        key = (seen.owner, seen.kind, seen.name)
        if seen.what == "made":
            made[key] += 1
            if made[key] > gone[key] + 1:
                yield Violation(
                    "deeds", f"{seen.kind}/{seen.name} is made {made[key]} times and went {gone[key]} times"
                )
        elif seen.what == "gone":
            gone[key] += 1
            if seen.uid not in facts.users.deleted_by_others and not _may_go(seen, facts):
                yield Violation(
                    "deeds", f"{seen.kind}/{seen.name} of {seen.platform} went at {seen.at:.1f}: nobody asked"
                )


def _may_go(seen: Sighting, facts: Facts) -> bool:
    owner = facts.users.incarnations.get(seen.owner)
    if owner is None:
        return False
    if owner.deleted_at is not None and owner.deleted_at <= seen.at + _SLACK_SECONDS:
        return True
    return _is_dropped(seen, owner)


def _is_dropped(seen: Sighting, owner: Incarnation) -> bool:
    if seen.kind == "PodDisruptionBudget" and owner.scaled:
        return True
    component = seen.name.removeprefix(f"{owner.name}-").partition("-")[0]
    # A Secret that holds passwords of several components goes with the last one that has any.
    return component in owner.dropped or (seen.kind == "Secret" and bool(owner.dropped))
