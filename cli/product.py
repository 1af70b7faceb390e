"""What this build is."""

from importlib.metadata import PackageNotFoundError, version


def product_version() -> str:
    """`0.1.0`; "unknown" when run from sources that are not installed."""
    try:
        return version("stackledger")
    except PackageNotFoundError:
        return "unknown"
