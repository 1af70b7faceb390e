"""What the store raises. The docstring of each class is its default message."""


class StoreError(Exception):
    """The event store reported an error."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class StreamConflictError(StoreError):
    """The stream moved on since it was read: read it again and decide again."""

    def __init__(self, stream_id: str, expected_version: int, actual_version: int) -> None:
        self.stream_id, self.expected_version, self.actual_version = stream_id, expected_version, actual_version
        super().__init__(f"stream {stream_id} is at version {actual_version}, not {expected_version}: read it again")


class StaleEpochError(StoreError):
    """Another replica holds a newer lease: this one must stop acting."""


class StoreUnavailableError(StoreError):
    """The event store cannot be reached or refuses writes."""


class StoreReadOnlyError(StoreUnavailableError):
    """The event store is read-only (a standby, or a full disk)."""


class SchemaVersionError(StoreError):
    """The database schema does not match this build."""


class UnknownEventError(StoreError):
    """An event of a type or schema version this build does not know: its stream is quarantined."""


class CorruptEventError(StoreError):
    """An event whose bytes do not match its hash or do not decode: its stream is quarantined."""


class StoreConfigurationError(StoreError):
    """The database URL is missing or not usable."""


class EventRefusedError(StoreError):
    """The append cannot be stored as it is: it breaks a limit of the log. Nothing was written."""


class EventIdTakenError(StoreError):
    """An event id of this append already belongs to another event. Nothing was written."""
