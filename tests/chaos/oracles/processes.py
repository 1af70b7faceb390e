"""No operator ended by itself, hung, crashed a pass, or stayed unready."""

from collections.abc import Iterator

from tests.chaos.facts import Facts, Violation, message_of

_BAD_ENDS = ("ended-by-itself", "did-not-end", "ended-badly")
#: Where an operator's log is read.
LOG = "log of "


def processes(facts: Facts) -> Iterator[Violation]:
    """By what the supervisor noted, and by what they logged."""
    for entry in facts.journal:
        if entry.actor == "operator" and entry.kind in _BAD_ENDS:
            about = entry.about
            yield Violation(
                "processes", f"{about['name']} {entry.kind} at {entry.at}: {about.get('code')} {about['tail']}"
            )
    for where, text in facts.texts.items():
        if not where.startswith(LOG):
            continue
        for word in ("Traceback", "reconcile_crashed", "stream_quarantined"):
            if word in text:
                at = text.index(word)
                yield Violation("processes", f"{where}: {message_of(text[max(0, at - 200) : at + 3000])}")
    if facts.unready:
        yield Violation("processes", f"all rests, and not all are ready: {message_of(facts.unready)}")
