"""The commands of a session in their order: each is carried out and answered; the last ones can be taken back."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from audit.history import Row, RowBuilder
from simulator.facts import InvariantError
from simulator.session import Session
from simulator.session_hands import RefusedError
from simulator.session_view import SessionView, look

if TYPE_CHECKING:
    from simulator.checking import Checker
    from simulator.facts import Facts


class MisuseError(Exception):
    """A command that makes no sense here: what is wrong, and what would be right."""

    def __init__(self, what: str, next_step: str = "") -> None:
        super().__init__(what)
        self.what, self.next_step = what, next_step


class NewRow(msgspec.Struct, frozen=True):
    """An event, and whose it is."""

    platform: str
    row: Row


class Answer(msgspec.Struct, kw_only=True):
    """What a command came to."""

    line: str
    #: What it says itself.
    said: list[str] = msgspec.field(default_factory=list)
    #: Events that are new.
    rows: tuple[NewRow, ...] = ()
    before: SessionView
    after: SessionView
    #: Something did not hold: an expectation, an invariant, a verdict.
    failed: bool = False
    #: Only the phase is to be shown that it came to.
    quiet: bool = False


class Typed(msgspec.Struct, frozen=True):
    """A command as it was given: a line, and the lines below that belong to it."""

    line: str
    body: str = ""


class Tape:
    """One session, and how it came to be."""

    def __init__(self, seed: int = 0, checkers: "Iterable[Callable[[Facts], Checker]]" = ()) -> None:
        self.seed, self._checkers = seed, tuple(checkers)
        #: What was carried out so far.
        self.typed: list[Typed] = []
        #: Events of the newest command that did something.
        self.newest: tuple[NewRow, ...] = ()
        #: The platform that was spoken of last.
        self.current = ""
        self._failed = False
        self.session: Session
        self._begin()

    def _begin(self) -> None:
        self.session = Session(self.seed, self._checkers)
        self._position, self._builders = 0, dict[str, RowBuilder]()
        self._seen = look(self.session)
        self.typed, self.newest, self.current = [], (), ""

    @property
    def view(self) -> SessionView:
        """How things stood after the newest command."""
        return self._seen

    def act(self, typed: Typed, do: "Callable[[], Iterable[str]]") -> Answer:
        """Carry out a command that may change something, and gather what is new.

        Raises:
            MisuseError: it makes no sense; nothing was done.
        """
        answer = Answer(line=typed.line, before=self._seen, after=self._seen)
        self._failed = False
        try:
            answer.said += do()
        except LookupError as error:
            raise MisuseError(str(error.args[0] if error.args else error)) from None
        except RefusedError as error:
            answer.said.append(f"refused: {error}")
        except InvariantError as error:
            answer.said.append(f"VIOLATED {error}")
            self._failed = True
        answer.failed = self._failed
        self.typed.append(typed)
        self.newest = answer.rows = self._news()
        self._seen = answer.after = look(self.session)
        return answer

    def ask(self, typed: Typed, do: "Callable[[], Iterable[str]]") -> Answer:
        """Carry out a command that changes nothing."""
        answer = Answer(line=typed.line, before=self._seen, after=self._seen)
        self._failed = False
        answer.said += do()
        answer.failed = self._failed
        return answer

    def fail(self) -> None:
        """What the running command is about does not hold."""
        self._failed = True

    def undo(self, count: int, again: "Callable[[Typed], object]") -> list[Typed]:
        """Begin anew from the seed, and do all but the last commands `again`; what was taken back."""
        left = len(self.typed) - count
        kept, undone = self.typed[:left], self.typed[left:]
        self.tell_again(kept, again)
        return undone

    def tell_again(self, kept: Sequence[Typed], again: "Callable[[Typed], object]") -> None:
        """Begin anew from the seed, and do these commands `again`."""
        self._begin()
        for typed in kept:
            again(typed)

    def _news(self) -> tuple[NewRow, ...]:
        """Events since the last time, of all platforms, in their order."""
        log, found = self.session.universe.log, []
        while page := log.read_all(self._position):
            for recorded in page:
                self._position = recorded.position
                builder = self._builders.setdefault(recorded.stream_id, RowBuilder())
                name = self.session.simulation.facts.streams[recorded.stream_id].state.name
                found += [NewRow(name, row) for row in builder.rows([recorded])]
        return tuple(found)
