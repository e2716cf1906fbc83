"""When an undecided submission is due for publishing again."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, case

from worker.store.engine.clock import moment
from worker.store.engine.tables import SubmissionRow

#: How long a claim lasts unless it is renewed: three renewals fit into it.
LEASE: Final = timedelta(seconds=15)
#: How long after the end of its lease a submission is published again.
GRACE: Final = timedelta(seconds=1)
#: How long a published message may stay on the queue before it can count as lost. A version before 0010
#: publishes it again then, after twice as long, and so on, up to LONGEST_PATIENCE.
PATIENCE: Final = timedelta(minutes=1)
LONGEST_PATIENCE: Final = timedelta(hours=1)
#: Pause before a submission with a missing policy is retried; it doubles each time up to the longest.
POLICY_PAUSE: Final = timedelta(seconds=2)
LONGEST_POLICY_PAUSE: Final = timedelta(minutes=1)


def after_patience() -> ColumnElement[datetime]:
    """Return when a version before 0010 publishes a queued submission again."""
    return _growing(PATIENCE, LONGEST_PATIENCE)


def after_policy_pause() -> ColumnElement[datetime]:
    """Return when a submission whose policy is missing is published again."""
    return _growing(POLICY_PAUSE, LONGEST_POLICY_PAUSE)


def queued() -> dict[str, ColumnElement[datetime]]:
    """Return the columns of a submission that is being published for the first time."""
    return {"publish_at": moment(PATIENCE), "published_at": moment()}


def _growing(first: timedelta, longest: timedelta) -> ColumnElement[datetime]:
    """Return the end of a pause that doubles each time a submission is published."""
    pauses: list[ColumnElement[datetime]] = []
    while (pause := first * 2 ** len(pauses)) < longest:
        pauses.append(moment(pause))
    return case(dict(enumerate(pauses)), value=SubmissionRow.published_again, else_=moment(longest))
