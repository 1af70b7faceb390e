"""Once all rests nothing is written and nothing appended: S17, E1."""

from collections.abc import Iterator

from tests.chaos.facts import Facts, Violation


def silence(facts: Facts) -> Iterator[Violation]:
    """Whatever was heard."""
    yield from (Violation("silence", what) for what in facts.noise)
