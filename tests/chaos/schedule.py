"""What happens in a round, drawn from a seed: who does what, to whom, and when. Pure.

The schedule is the same for the same seed; what the processes make of it is not: they run on real clocks.
"""

import random
from collections.abc import Sequence
from typing import Literal

import msgspec

Actor = Literal["chaos", "user", "other"]

#: What a user does, and how often compared with the rest.
USER: dict[str, int] = {
    "install": 6,
    "edit": 6,
    "upgrade": 5,
    "fail-upgrade": 2,
    "scale": 3,
    "drop-component": 2,
    "add-component": 2,
    "pause": 2,
    "resume": 3,
    "delete": 3,
    "break": 3,
    "repair": 4,
    "rotate-secret": 2,
}
#: What other people do to what is not theirs.
OTHER: dict[str, int] = {"delete-child": 4, "edit-child": 4, "delete-pod": 3, "spoil-status": 3}
#: What goes wrong below the operator: kind -> (weight, least and most seconds that it lasts).
FAULTS: dict[str, tuple[int, float, float]] = {
    "operator-kill": (6, 0.2, 3.0),
    "operator-stop": (3, 7.0, 10.0),
    "operator-term": (3, 0.2, 2.0),
    "operators-kill": (1, 0.5, 4.0),
    "api-cut": (4, 0.0, 0.0),
    "api-half-open": (3, 2.0, 8.0),
    "api-busy": (3, 1.0, 5.0),
    "api-answers-lost": (4, 0.5, 2.0),
    "api-away": (2, 1.0, 6.0),
    "api-restart": (2, 0.5, 3.0),
    "api-stop": (2, 2.0, 6.0),
    "api-expire": (1, 0.0, 0.0),
    "etcd-kill": (2, 0.5, 3.0),
    "database-cut": (4, 0.0, 0.0),
    "database-half-open": (2, 2.0, 8.0),
    "database-away": (2, 1.0, 6.0),
    "database-terminate": (3, 0.0, 0.0),
    "database-restart": (2, 0.0, 2.0),
    "database-crash": (2, 0.0, 2.0),
}


class Deed(msgspec.Struct, frozen=True):
    """One thing that somebody does."""

    #: After the storm began.
    at_seconds: float
    actor: Actor
    kind: str
    #: The platform it is done to; "" where it is done to none.
    platform: str = ""
    #: Which of what there is then, modulo how many there are.
    choice: int = 0
    #: How long a fault lasts.
    seconds: float = 0.0


class Pace(msgspec.Struct, frozen=True):
    """Mean seconds between two deeds of each actor."""

    user: float = 1.5
    other: float = 4.0
    chaos: float = 3.0


def storm(
    seed: int, number: int, seconds: float, platforms: Sequence[str], faults: Sequence[str], pace: Pace | None = None
) -> list[Deed]:
    """The deeds of round `number` in order of time; of the faults, only those that this server knows."""
    pace = pace or Pace()
    chance = random.Random(f"{seed}/{number}")
    deeds = [*_faults(chance, seconds, faults, pace.chaos)]
    for kinds, actor, mean in ((USER, "user", pace.user), (OTHER, "other", pace.other)):
        for at in _instants(chance, seconds, mean):
            (kind,) = chance.choices(list(kinds), list(kinds.values()))
            platform = chance.choice(list(platforms))
            deeds.append(Deed(at, actor, kind, platform, chance.getrandbits(32)))  # type: ignore[arg-type]  # a literal
    return sorted(deeds, key=lambda deed: deed.at_seconds)


def _faults(chance: random.Random, seconds: float, faults: Sequence[str], mean: float) -> list[Deed]:
    known = [kind for kind in FAULTS if kind in faults]
    found = []
    for at in _instants(chance, seconds, mean):
        (kind,) = chance.choices(known, [FAULTS[kind][0] for kind in known])
        _, least, most = FAULTS[kind]
        lasting = min(round(chance.uniform(least, most), 2), max(least, round(seconds - at, 2)))
        found.append(Deed(at, "chaos", kind, choice=chance.getrandbits(32), seconds=lasting))
    return found


def _instants(chance: random.Random, seconds: float, mean: float) -> list[float]:
    found, at = [], chance.expovariate(1 / mean)
    while at < seconds:
        found.append(round(at, 2))
        at += chance.expovariate(1 / mean)
    return found
