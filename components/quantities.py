"""Kubernetes quantities (`500m`, `1.5Gi`, `2e3`) as exact decimals."""

import re
from decimal import Decimal

_QUANTITY = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))([eE][+-]?\d{1,3}|[a-zA-Z]{0,2})")
_BINARY = {suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_DECIMAL = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
}
_FACTORS = _BINARY | _DECIMAL


def parse_quantity(text: str | float | Decimal) -> Decimal:
    """The exact value of a quantity: cores for CPU, bytes for memory and storage.

    Raises:
        ValueError: it is no Kubernetes quantity.
    """
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{str(text)[:40]!r} is not a Kubernetes quantity such as 500m, 2 or 10Gi")
    number, suffix = match.groups()
    if suffix[:1] in ("e", "E") and len(suffix) > 1:
        return Decimal(number) * Decimal(10) ** int(suffix[1:])
    if suffix not in _FACTORS:
        raise ValueError(f"{str(text)[:40]!r} has the unknown unit {suffix!r}: use m, k, M, G, T, Ki, Mi, Gi or Ti")
    return Decimal(number) * _FACTORS[suffix]


def format_quantity(value: Decimal) -> str:
    """A quantity in the largest unit that keeps it whole: `10Gi`, `1500m`, `3`."""
    if value == value.to_integral_value():
        for suffix, factor in reversed(_BINARY.items()):
            if value and value % factor == 0:
                return f"{int(value / factor)}{suffix}"
        return str(int(value))
    milli = value * 1000
    return f"{int(milli)}m" if milli == milli.to_integral_value() else f"{value.normalize():f}"
