"""What a read model is: a pure fold of events to rows, with a small memo per stream between them."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import msgspec
from sqlalchemy import Table

from eventstore.envelope import RecordedEvent
from eventstore.events import Event


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row as it is to be after an event; its fields are the columns of its table, in their order."""

    table: ClassVar[Table]


class Memo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a read model must remember of a stream to fold its next event; stored as JSON beside the rows."""

    namespace: str = ""
    name: str = ""


class ReadModel(Protocol):
    """One question that is asked of the log often, answered ahead of time."""

    @property
    def name(self) -> str:
        """Name of its checkpoint; never changes."""
        ...

    @property
    def version(self) -> int:
        """Raise it whenever `apply` comes to other rows: what is stored is then built again."""
        ...

    @property
    def tables(self) -> tuple[Table, ...]:
        """What it writes, and nobody else does. Each has a column `stream_id`."""
        ...

    @property
    def memo_type(self) -> type[Memo]:
        """Its defaults are the memo of a stream no event of which was folded yet."""
        ...

    def apply(self, memo: Any, recorded: RecordedEvent, event: Event) -> tuple[Any, Sequence[Row]]:
        """The memo after this event, and the rows it leads to. Pure: the same arguments give the same answer."""
        ...
