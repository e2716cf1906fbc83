"""The types of the events that the platform gets."""

from enum import StrEnum


class EventType(StrEnum):
    """What happened to a submission."""

    #: A policy decided.
    DECISION_MADE = "decision.made"
    #: A person answered a review, or the submission inherited such an answer about the same bytes.
    VERDICT_MADE = "verdict.made"
    #: A verdict was taken back.
    VERDICT_REVERSED = "verdict.reversed"
    #: A person answered an appeal; the verdict has an event of its own.
    APPEAL_ANSWERED = "appeal.answered"
    #: No policy can decide a submission that was accepted.
    SUBMISSION_REFUSED = "submission.refused"
