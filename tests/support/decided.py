"""One decided submission, upload-1, and events about it."""

from moderation_client.submission import LocalFile, Submission
from support.decided_submission import add_decided

from worker.domain.moderation.decision import Decision
from worker.domain.moderation.scoring import LabelScore
from worker.domain.moderation.view import View
from worker.domain.policies.policy import Action, Label, Policy
from worker.store.engine.database import Database
from worker.store.notifications import outbox

SUBMISSION = Submission("upload-1", LocalFile("a.png"), reference="post-42")
POLICY = Policy("default", ("an everyday scene",), (Label("weapons", ("a handgun",), severity=4),))
WEAPONS = LabelScore("weapons", 0.75, "a handgun", 0.3, "an everyday scene", 0.25, view=View(frame=1))
REVIEW = Decision(Action.REVIEW, "weapons 0.75", (WEAPONS,), ("weapons",), severity=4)


def decide(database: Database) -> int:
    """Record the decision as a worker would; return its id."""
    with database.transaction() as session:
        decision_id = add_decided(session, SUBMISSION, POLICY, REVIEW)
    assert decision_id is not None
    return decision_id


def add_events(database: Database, decision_id: int, *callbacks: str | dict[str, str]) -> None:
    """Add an event to the outbox for each callback, a URL or a record."""
    with database.transaction() as session:
        for callback in callbacks:
            outbox.add(
                session,
                [
                    outbox.News(
                        outbox.DECISION_MADE,
                        submission_id=SUBMISSION.id,
                        decision_id=decision_id,
                        callback=callback if isinstance(callback, dict) else {"url": callback},
                    )
                ],
            )
