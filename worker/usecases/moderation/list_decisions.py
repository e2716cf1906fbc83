"""Lists decisions, newest first, with the action now in force on each submission."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from worker.domain.moderation.in_force import InForce
from worker.domain.policies.policy import Action
from worker.store.decisions import decision_search, decisions
from worker.store.decisions.decision_search import Cursor, Filters
from worker.store.decisions.decisions import RecordedDecision
from worker.store.engine.database import Database
from worker.store.reviews import in_force
from worker.store.submissions import submissions

#: How many refused submissions are listed beside the newest decisions.
_MOST_REFUSED: Final = 5


@dataclass(frozen=True, slots=True)
class DecisionsPage:
    """A page of decisions."""

    decisions: Sequence[RecordedDecision]
    #: By submission id.
    in_force: Mapping[str, InForce]
    #: Where the next page begins; None at the end.
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class NewestDecisions:
    """The newest decisions, and what else was decided."""

    decisions: Sequence[RecordedDecision]
    #: By submission id.
    in_force: Mapping[str, InForce]
    #: The number of all decisions of each action, without empty ones; counts stop at `counting.MOST`.
    counts: Mapping[Action, int]
    #: The submissions that were refused last, each with the reason.
    refused: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ListDecisions:
    """List decisions; each list is one snapshot of the database."""

    database: Database

    def page(self, filters: Filters, *, after: Cursor | None = None, limit: int) -> DecisionsPage:
        """Return at most `limit` decisions after `after`; fewer if few of those examined match."""
        with self.database.reading() as session:
            found = decision_search.search(session, filters, after=after, limit=limit)
            states = in_force.of_submissions(session, [one.submission_id for one in found.decisions])
        return DecisionsPage(found.decisions, states, found.next)

    def newest(self, *, action: Action | None, label: str | None, limit: int) -> NewestDecisions:
        """Return the newest `limit` decisions, with an action or a flagged label if given, however old."""
        with self.database.reading() as session:
            found = decision_search.latest(session, action=action, label=label, limit=limit)
            states = in_force.of_submissions(session, [one.submission_id for one in found])
            counts = decisions.count_by_action(session)
            refused = submissions.refused(session, limit=_MOST_REFUSED)
        return NewestDecisions(found, states, counts, refused)
