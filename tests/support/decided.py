"""One decided submission, upload-1, and events about it."""

from moderation_client.submission import LocalFile, Submission

from worker.domain.moderation.decision import Decision
from worker.domain.moderation.scoring import LabelScore
from worker.domain.moderation.view import View
from worker.domain.policies.policy import Action, Label, Policy
from worker.store.decisions import decisions
from worker.store.engine.database import Database
from worker.store.notifications import outbox
from worker.store.policies import policy_versions
from worker.store.submissions import submissions

SUBMISSION = Submission("upload-1", LocalFile("a.png"), reference="post-42")
POLICY = Policy("default", ("an everyday scene",), (Label("weapons", ("a handgun",), severity=4),))
WEAPONS = LabelScore("weapons", 0.75, "a handgun", 0.3, "an everyday scene", 0.25, view=View(frame=1))
REVIEW = Decision(Action.REVIEW, "weapons 0.75", (WEAPONS,), ("weapons",), severity=4)


def decide(database: Database) -> int:
    """Record the decision as a worker would; return its id."""
    with database.transaction() as session:
        policy_versions.keep(session, [(POLICY, "name: default\n")])
        submissions.record(
            session,
            [submissions.DecidedSubmission(SUBMISSION, POLICY.name, POLICY.digest, sha256=None, source=None)],
        )
        decision_id = decisions.insert(
            session,
            [
                decisions.NewDecision(
                    submission=SUBMISSION,
                    policy=POLICY,
                    decision=REVIEW,
                    model="demo",
                    model_digest="c" * 64,
                    facts=None,
                )
            ],
        )[0]
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
