"""Every oracle there is."""

from collections.abc import Callable, Iterator

from tests.chaos.facts import Facts, Violation
from tests.chaos.oracles.deeds import deeds
from tests.chaos.oracles.ends import ends
from tests.chaos.oracles.ledger import ledger
from tests.chaos.oracles.processes import processes
from tests.chaos.oracles.secrecy import secrecy
from tests.chaos.oracles.silence import silence

ORACLES: tuple[Callable[[Facts], Iterator[Violation]], ...] = (ends, deeds, ledger, silence, secrecy, processes)


def violations(facts: Facts) -> list[Violation]:
    """All that must not be; empty: all is well."""
    return [violation for oracle in ORACLES for violation in oracle(facts)]
