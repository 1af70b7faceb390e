"""What a benchmark returns, and the table that `make bench` prints."""

import msgspec
from rich.console import Console
from rich.table import Table


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One measured figure, beside that of a peer measured in the same run, and the bar it must reach."""

    name: str
    value: float
    unit: str
    #: What it is compared with: `raw psycopg`, `pyeventsourcing`; "" if with nothing.
    peer: str = ""
    peer_value: float | None = None
    #: value / peer_value.
    ratio: float | None = None
    #: `>= 0.7 x`, `< 10 ms`; "" if it is only reported.
    bar: str = ""
    #: None if there is no bar.
    passed: bool | None = None


def compared(name: str, value: float, unit: str, peer: str, peer_value: float, *, at_least: float) -> Row:
    """A row whose bar is a ratio to the peer."""
    ratio = value / peer_value
    return Row(
        name=name,
        value=value,
        unit=unit,
        peer=peer,
        peer_value=peer_value,
        ratio=ratio,
        bar=f">= {at_least:.3g} x",
        passed=ratio >= at_least,
    )


def within(name: str, value: float, unit: str, peer: str, peer_value: float, *, at_most: float) -> Row:
    """A row whose bar is how many times the peer's cost it may be."""
    row = beside(name, value, unit, peer, peer_value)
    return msgspec.structs.replace(row, bar=f"<= {at_most:.3g} x", passed=value / peer_value <= at_most)


def beside(name: str, value: float, unit: str, peer: str, peer_value: float) -> Row:
    """A row that shows a ratio to a peer and has no bar."""
    return Row(name=name, value=value, unit=unit, peer=peer, peer_value=peer_value, ratio=value / peer_value)


def limited(name: str, value: float, unit: str, *, below: float) -> Row:
    """A row whose bar is a figure that must not be reached."""
    return Row(name=name, value=value, unit=unit, bar=f"< {below:g} {unit}", passed=value < below)


def reported(name: str, value: float, unit: str) -> Row:
    """A row without a bar."""
    return Row(name=name, value=value, unit=unit)


def print_table(rows: list[Row]) -> None:
    """One line per row; a missed bar says so in words, not only in colour."""
    table = Table(title="Benchmarks: ratios of one run; absolute figures depend on the machine")
    for heading in ("what", "figure", "peer", "peer's figure", "ratio", "bar", ""):
        table.add_column(heading, justify="left" if heading in ("what", "peer") else "right")
    for row in rows:
        verdict = {True: "[green]ok[/]", False: "[red]MISSED[/]", None: ""}[row.passed]
        table.add_row(
            row.name,
            _figure(row.value, row.unit),
            row.peer,
            "" if row.peer_value is None else _figure(row.peer_value, row.unit),
            "" if row.ratio is None else f"{row.ratio:.2f}",
            row.bar,
            verdict,
        )
    Console(width=140).print(table)


def _figure(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.2f} {unit}"
