"""What commands print: tables for people, JSON and YAML with stable keys for programs.

Results go to stdout, everything else (headings, hints, errors) to stderr. Colour only on a terminal that wants it.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from cli.escaping import has_unsafe, json_safe, printable

_GAP = "  "
_FLEXIBLE_WIDTH_MIN = 16
_STYLES = {
    "Ready": "green",
    "True": "green",
    "Failed": "red",
    "False": "red",
    "BROKEN": "bold red",
    "NOT MET": "bold red",
    "VIOLATED": "bold red",
    "Installing": "cyan",
    "Upgrading": "cyan",
    "Pending": "yellow",
    "Unknown": "yellow",
}


class Format(StrEnum):
    """What `-o` accepts."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    NAME = "name"


class Column(NamedTuple):
    """A table's column. On a narrow terminal, optional columns go first, the rightmost before the others."""

    title: str
    right: bool = False
    optional: bool = False


def wants_colour(*, no_color: bool = False) -> bool:
    """Colour is for terminals only, and not for those who set NO_COLOR."""
    return sys.stdout.isatty() and not no_color and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write_line(text: str = "") -> None:
    """One line of the result; unsafe characters spelled out."""
    sys.stdout.write(printable(text).rstrip() + "\n")


def write_coloured(text: str, *, no_color: bool = False) -> None:
    """One line of the result, its phases and verdicts coloured on a terminal that wants it."""
    if not wants_colour(no_color=no_color):
        write_line(text)
        return
    from rich.console import Console
    from rich.text import Text

    line = Text(printable(text).rstrip())
    for word, style in _STYLES.items():
        line.highlight_regex(rf"(?<![\w=]){word}(?![\w=])", style)
    Console(file=sys.stdout, color_system="auto", highlight=False, soft_wrap=True).print(line)


def note(text: str) -> None:
    """One line beside the result."""
    sys.stderr.write(printable(text).rstrip() + "\n")


def write_json(value: Any) -> None:
    """A JSON document with keys as in the classes' definitions; instants RFC 3339."""
    import msgspec

    encoded = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    sys.stdout.write(json_safe(encoded) + "\n")


def write_json_line(value: Any) -> None:
    """One JSON document on one line."""
    import msgspec

    sys.stdout.write(json_safe(msgspec.json.encode(value).decode()) + "\n")


def write_yaml(value: Any) -> None:
    """The same value as `write_json`, as YAML."""
    import msgspec
    import yaml

    plain = msgspec.to_builtins(value, builtin_types=()) if not isinstance(value, dict | list) else value
    plain = msgspec.json.decode(msgspec.json.encode(plain))
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120)
    if any(has_unsafe(line) for line in text.splitlines()):
        text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=False, default_flow_style=False, width=120)
    sys.stdout.write(text)


def write_table(
    columns: Sequence[Column], rows: Iterable[Sequence[object]], *, headers: bool = True, no_color: bool = False
) -> None:
    """A table in kubectl's manner: two blanks between columns, no frames."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _write_fitted(list(columns), cells, headers=headers, colour=wants_colour(no_color=no_color))
    else:
        _write_plain(columns, cells, headers=headers)


def _write_plain(columns: Sequence[Column], cells: list[list[str]], *, headers: bool) -> None:
    table = [[column.title for column in columns], *cells] if headers else cells
    widths = [max((_width(row[index]) for row in table), default=0) for index in range(len(columns))]
    for row in table:
        padded = [_pad(cell, width, column) for cell, width, column in zip(row, widths, columns, strict=True)]
        sys.stdout.write(_GAP.join(padded).rstrip() + "\n")


def _pad(cell: str, width: int, column: Column) -> str:
    blanks = " " * (width - _width(cell))
    return blanks + cell if column.right else cell + blanks


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _write_fitted(columns: list[Column], cells: list[list[str]], *, headers: bool, colour: bool) -> None:
    """On a terminal: drop optional columns until it fits, then let the last column wrap."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = shutil.get_terminal_size((100, 24)).columns
    kept = _columns_that_fit(columns, cells, width)
    table = Table(box=None, show_header=headers, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index in kept:
        last = index == kept[-1]
        table.add_column(
            columns[index].title,
            justify="right" if columns[index].right else "left",
            no_wrap=not last,
            overflow="fold" if last else "ellipsis",
        )
    for row in cells:
        table.add_row(*(Text(row[index], style=_STYLES.get(row[index], "")) for index in kept))
    # Without a colour system there are no escapes at all, not even for bold.
    console = Console(file=sys.stdout, width=width, color_system="auto" if colour else None, highlight=False)
    console.print(table)


def _columns_that_fit(columns: list[Column], cells: list[list[str]], width: int) -> list[int]:
    widths = [
        max([_width(column.title), *(_width(row[index]) for row in cells)]) for index, column in enumerate(columns)
    ]
    kept = list(range(len(columns)))
    while True:
        fixed = sum(widths[index] + len(_GAP) for index in kept[:-1])
        flexible = min(widths[kept[-1]], _FLEXIBLE_WIDTH_MIN)
        droppable = [index for index in kept[:-1] if columns[index].optional] or (
            [kept[-1]] if columns[kept[-1]].optional and len(kept) > 1 else []
        )
        if fixed + flexible <= width or not droppable:
            return kept
        kept.remove(droppable[-1])


# -- values in cells -----------------------------------------------------------------------------------------------


def instant(at: datetime | None) -> str:
    """`2026-11-23T10:18:12Z`; "-" for none."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else "-"


def clock_time(at: datetime | None, today: datetime) -> str:
    """`10:18:12` for an instant of the same day as `today`, the whole instant for others."""
    if at is None:
        return "-"
    return at.strftime("%H:%M:%S") if at.date() == today.date() else instant(at)


def length(seconds: float | None) -> str:
    """`2m03s`, `5d4h`, `340ms`; "-" for none."""
    if seconds is None:
        return "-"
    if seconds < 0:
        return f"-{length(-seconds)}"
    if seconds < 1:
        return f"{round(seconds * 1000)}ms" if seconds else "0s"
    whole = int(seconds)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d{hour}h"
    if hours:
        return f"{hours}h{minute:02d}m"
    return f"{minutes}m{second:02d}s" if minutes else f"{second}s"


def size(count: int) -> str:
    """`14 kB`."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def counted(number: int, word: str) -> str:
    """`1 event`, `21 events`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
