"""What reading the ledger can fail with: always what, why, and what to do next."""


class AuditError(Exception):
    """A question to the ledger that has no answer."""

    def __init__(self, what: str, why: str = "", next_step: str = "") -> None:
        self.what, self.why, self.next_step = what, why, next_step
        super().__init__(": ".join(part for part in (what, why) if part))


class NotFoundError(AuditError):
    """No such platform, or it had no such point in its history."""


class AmbiguousNameError(AuditError):
    """More than one platform answers to the name."""


class PointError(AuditError):
    """The text does not say a point in a history."""


class BundleError(AuditError):
    """The file is not a bundle, is cut short, or was written by a newer version."""
