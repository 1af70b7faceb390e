"""What a run says: a line for each round, and a table at the end."""

import msgspec


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One round; counts are of the run so far."""

    number: int
    seconds: float
    #: From the end of the storm to the verdict.
    rest_seconds: float
    events: int
    faults: dict[str, int]
    platforms: int
    violations: int


class Report(msgspec.Struct):
    """A run, round by round."""

    server: str = ""
    lines: list[Line] = msgspec.field(default_factory=list)

    def add(self, line: Line) -> None:
        """One more round."""
        self.lines.append(line)

    def progress(self, minute: float, seed: int) -> str:
        """The newest round in one line."""
        line = self.lines[-1]
        faults = " ".join(f"{kind}={count}" for kind, count in sorted(line.faults.items()))
        return (
            f"minute {minute:4.1f}  {self.server} seed {seed} round {line.number}: {line.events} events, "
            f"{line.platforms} platforms, {sum(line.faults.values())} faults, {line.violations} violations, "
            f"verdict {line.rest_seconds:.0f} s after the storm  [{faults}]"
        )

    def table(self, seconds: float, ends: dict[str, int]) -> str:
        """The whole run."""
        last = self.lines[-1] if self.lines else None
        faults = last.faults if last else {}
        events = last.events if last else 0
        violations = sum(line.violations for line in self.lines)
        rows = [
            ("server", self.server),
            ("minutes", f"{seconds / 60:.1f}"),
            ("rounds", str(len(self.lines))),
            ("platforms made", str(last.platforms if last else 0)),
            ("events appended", f"{events} ({events / max(seconds, 1):.1f}/s)"),
            *((f"  {kind}", str(count)) for kind, count in sorted(ends.items())),
            ("faults", str(sum(faults.values()))),
            *((f"  {kind}", str(count)) for kind, count in sorted(faults.items())),
            ("violations", str(violations)),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
