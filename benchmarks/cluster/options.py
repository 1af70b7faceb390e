"""What a benchmark may be told."""

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes and lengths; the defaults are those of the bars."""

    #: How long platforms at rest are looked at.
    rest_seconds: float = 300.0
    #: Platforms of the large install.
    platforms: int = 100
    #: Times that a small install is measured, ours and the bare client's turn about.
    rounds: int = 5
    #: Samples of the time from pod to platform.
    samples: int = 120
