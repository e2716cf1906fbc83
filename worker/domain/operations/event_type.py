"""The types of the events that the platform receives."""

from enum import StrEnum


class EventType(StrEnum):
    """What happened to a submission."""

    #: A policy decided.
    DECISION_MADE = "decision.made"
    #: A person answered a review, or the submission inherited the verdict about the same bytes.
    VERDICT_MADE = "verdict.made"
    #: A verdict was reversed.
    VERDICT_REVERSED = "verdict.reversed"
    #: A person answered an appeal; the verdict has a separate event.
    APPEAL_ANSWERED = "appeal.answered"
    #: No policy can decide an accepted submission.
    SUBMISSION_REFUSED = "submission.refused"
