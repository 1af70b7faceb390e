"""What belongs to others, and what was made once: F30, F34."""

from reconciler.core.desired import desired_objects
from simulator.checking import Checker, Written
from tests.simulation.checkers.base import owner_uid


class Adoption(Checker):
    """What somebody else made is never taken over in silence."""

    name = "F30"

    def wrote(self, written: Written) -> None:
        """Who owns it now owned it before."""
        if written.before is None or written.after is None or not written.writer.startswith("replica"):
            return
        if owner_uid(written.after) != owner_uid(written.before):
            self.fail(f"{written.title} of somebody else is taken over by {written.writer}")


class Passwords(Checker):
    """What was generated once is never generated again: whoever knows it would be locked out."""

    name = "F34"

    def wrote(self, written: Written) -> None:
        """A Secret that is only made keeps its values."""
        if written.kind.kind != "Secret" or written.before is None or written.after is None:
            return
        state = self.facts.state_of(owner_uid(written.after))
        if state is None or written.before.get("data") == written.after.get("data"):
            return
        wanted = next((one for one in desired_objects(state) if str(one.ref) == written.title), None)
        if wanted is not None and wanted.create_only:
            self.fail(f"{written.title} has another password than before")
