"""Writes the events of new decisions to the outbox, with the sequence numbers that order them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from moderation_client.callback import Callback, callback_record
from moderation_client.submission import Submission
from sqlalchemy.orm import Session

from worker.store.notifications import outbox
from worker.store.notifications.outbox import News
from worker.store.reviews import in_force, verdict_events
from worker.store.reviews.verdicts import RecordedVerdict


def write_decision_events(
    session: Session,
    made: Sequence[tuple[Submission, int]],
    inherited: Mapping[int, RecordedVerdict],
    default_callback: Callback | None,
) -> None:
    """Advance the sequence of each submission, and write the events of its decision.

    `inherited` holds the verdicts that decisions inherited, by decision id. Both events of such a decision
    name the verdict's action: no other action was ever in force.
    """
    decided = in_force.advance(session, [submission.id for submission, _ in made])
    after = in_force.advance(session, [verdict.submission_id for verdict in inherited.values()])
    wanted = [
        (submission.id, decision_id, callback)
        for submission, decision_id in made
        if (callback := callback_record(submission.callback or default_callback))
    ]
    if not wanted:
        return
    states = in_force.of_submissions(session, [submission_id for submission_id, *_ in wanted])
    news: list[News] = []
    for submission_id, decision_id, callback in wanted:
        state = replace(states[submission_id], sequence=decided[submission_id])
        news.append(News(outbox.DECISION_MADE, submission_id, decision_id, callback, in_force=state))
        if verdict := inherited.get(decision_id):
            state = replace(state, sequence=after[submission_id])
            news.append(verdict_events.news_of(verdict_events.VERDICT_MADE, verdict, state, callback))
    outbox.add(session, news)
