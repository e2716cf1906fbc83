"""A verdict: a person's answer to a review."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from worker.domain.policies.policy import Action, Policy
from worker.errors import InvalidVerdictError

MAX_REASON_CHARACTERS: Final = 500
MAX_NOTE_CHARACTERS: Final = 4000
MAX_LABELS: Final = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """A reviewer's answer about a picture."""

    #: Allow or block.
    action: Action
    #: The labels that apply, including those the model missed.
    labels: frozenset[str] = frozenset()
    #: Why, for the platform.
    reason: str = ""
    #: For colleagues only.
    note: str = ""

    def __post_init__(self) -> None:
        """Raise InvalidVerdictError if the answer is invalid."""
        if self.action is Action.REVIEW:
            raise InvalidVerdictError("a verdict is allow or block", hint="escalate what you cannot decide")
        if len(self.labels) > MAX_LABELS:
            raise InvalidVerdictError(f"a verdict names at most {MAX_LABELS} labels")
        for what, text, most in (
            ("reason", self.reason, MAX_REASON_CHARACTERS),
            ("note", self.note, MAX_NOTE_CHARACTERS),
        ):
            if len(text) > most:
                raise InvalidVerdictError(f"the {what} has {len(text):,} characters; at most {most:,} fit")


def check_answer(answer: Answer, policy: Policy, flagged: Collection[str]) -> None:
    """Raise InvalidVerdictError if the answer does not fit the policy that decided."""
    known = [label.name for label in policy.labels]
    if unknown := sorted(answer.labels - set(known)):
        raise InvalidVerdictError(
            f"the policy {policy.name} has no label {unknown[0]!r}", hint=f"its labels are {', '.join(known)}"
        )
    asking = [name for name in _involved(policy, answer, flagged) if _needs_reason(policy, name)]
    if not answer.reason.strip() and (asking or policy.reviewing.needs_reason):
        about = f" about {asking[0]}" if asking else ""
        raise InvalidVerdictError(
            f"the policy {policy.name} requires a reason for every verdict{about}",
            hint="say why in a sentence",
        )


def check_reason(what: str, reason: str) -> None:
    """Raise InvalidVerdictError if the reason for skipping or escalating a review is missing or too long."""
    if not reason.strip():
        raise InvalidVerdictError(f"a review cannot be {what} without a reason", hint="say why in a sentence")
    if len(reason) > MAX_REASON_CHARACTERS:
        raise InvalidVerdictError(
            f"the reason has {len(reason):,} characters; at most {MAX_REASON_CHARACTERS:,} fit"
        )


def labels_needing_reason(policy: Policy) -> list[str]:
    """Return the labels about which a verdict must give a reason, in the policy's order."""
    return [label.name for label in policy.labels if _needs_reason(policy, label.name)]


def second_review_share(policy: Policy, answer: Answer, flagged: Collection[str]) -> float:
    """Return the share, 0 to 1, of such answers that go to a second reviewer."""
    default = policy.reviewing.second_share or 0.0
    shares = [policy.label(name).reviewing.second_share for name in _involved(policy, answer, flagged)]
    return max((default if share is None else share for share in shares), default=default)


def needs_second_review(submission_id: str, share: float) -> bool:
    """Whether a submission is drawn for a second review: deterministic, but not foreseeable by reviewers."""
    digest = hashlib.sha256(f"second look\n{submission_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def _involved(policy: Policy, answer: Answer, flagged: Collection[str]) -> list[str]:
    named = answer.labels | set(flagged)
    return [label.name for label in policy.labels if label.name in named]


def _needs_reason(policy: Policy, label: str) -> bool:
    own = policy.label(label).reviewing.needs_reason
    return bool(policy.reviewing.needs_reason if own is None else own)
