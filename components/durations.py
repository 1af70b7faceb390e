"""Durations of a spec (`1w2d`, `36h`) in the forms the programs accept."""

from api.shapes import duration_seconds


def hours_text(text: str) -> str:
    """As Go reads durations, which knows neither days nor weeks: `336h`, `1h30m`, `500ms`."""
    milliseconds = round(duration_seconds(text) * 1000)
    found = ""
    for unit, length in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, length)
        if count:
            found += f"{count}{unit}"
    return found or "0s"


def days_text(text: str) -> str:
    """As Prometheus and Loki read durations: whole days as days (`14d`), anything else as `hours_text`."""
    seconds = duration_seconds(text)
    return f"{int(seconds // 86400)}d" if seconds >= 86400 and seconds % 86400 == 0 else hours_text(text)
