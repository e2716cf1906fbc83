"""A decision: the action a policy takes on a picture, and the reason a person can read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from worker.domain.moderation.scoring import LabelScore
from worker.domain.moderation.seen import WHOLE, Seen
from worker.domain.policies.policy import Action, Label, Policy
from worker.errors import UndecodablePictureError

#: Prefix of the reason for a picture that could not be judged because it crashed workers.
QUARANTINED: Final = "not judged, it is in quarantine"

#: Mildest first.
_ACTIONS: Final = tuple(Action)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done with a picture and why."""

    action: Action
    #: One sentence for people; names phrases, scores and thresholds.
    reason: str
    #: The labels' scores in the policy's order: all, or the highest; empty if the picture was not judged.
    scores: tuple[LabelScore, ...] = ()
    #: The labels at or above a threshold, gravest first.
    flagged: tuple[str, ...] = ()
    #: The gravest flagged label's severity, 1 to 5; 0 if no label is flagged.
    severity: int = 0
    #: Whether a block became a review because the hourly limit of automatic blocks was reached.
    held_back: bool = False

    @property
    def is_flagged_by_text(self) -> bool:
        """Whether the submission's text added to the score of a flagged label."""
        return any(score.text is not None for score in self.scores if score.label in self.flagged)


def decide(policy: Policy, scores: Sequence[LabelScore], seen: Seen = WHOLE) -> Decision:
    """Apply the policy's thresholds to its labels' scores, and `on_partly_seen` if too little was seen."""
    decision = _decide_by_scores(policy, scores)
    if unseen := str(seen):
        decision = replace(decision, reason=f"{decision.reason}; {unseen}")
    return decision if seen.is_enough else _apply_partly_seen(policy, decision)


def _decide_by_scores(policy: Policy, scores: Sequence[LabelScore]) -> Decision:
    flagged = [(policy.label(s.label), s) for s in scores if s.score >= policy.label(s.label).review]
    if not flagged:
        return Decision(Action.ALLOW, _nothing_found(scores), tuple(scores))
    flagged.sort(key=lambda pair: (_action(*pair) is not Action.BLOCK, -pair[0].severity, -pair[1].score))
    action, reason = _action(*flagged[0]), "; ".join(_explain(label, score) for label, score in flagged)
    excluding = [label.name for label, score in flagged if _excludes(label, score)]
    if action is Action.BLOCK and excluding:
        action, reason = Action.REVIEW, f"{reason}; not blocked at once because of {', '.join(excluding)}"
    return Decision(
        action=action,
        reason=reason,
        scores=tuple(scores),
        flagged=tuple(label.name for label, _ in flagged),
        severity=max(label.severity for label, _ in flagged),
    )


def _apply_partly_seen(policy: Policy, decision: Decision) -> Decision:
    """Apply the policy's action for partly seen pictures if it is graver."""
    action = max(decision.action, policy.on_partly_seen, key=_ACTIONS.index)
    if any(_excludes(policy.label(score.label), score) for score in decision.scores):
        action = Action.REVIEW
    return replace(decision, action=action)


def hold_back(decision: Decision, limit: int) -> Decision:
    """Turn a block into a review, since the limit of automatic blocks an hour is reached."""
    reason = f"{decision.reason}; not blocked at once: the limit of {limit} an hour is reached"
    return replace(decision, action=Action.REVIEW, reason=reason, held_back=True)


def decide_undecodable(policy: Policy, refusal: UndecodablePictureError) -> Decision:
    """Decide about a file that cannot be judged, by its kind; `refusal` says why."""
    return Decision(policy.action_for(refusal.kind), f"not judged, {refusal.message}")


def decide_unreadable(policy: Policy, problem: str) -> Decision:
    """Decide about a picture whose bytes could not be read; `problem` says why."""
    return Decision(policy.on_error, f"not judged, {problem}")


def decide_poison(crashes: int) -> Decision:
    """Send a picture that crashed `crashes` worker processes to review."""
    return Decision(Action.REVIEW, f"{QUARANTINED}: {crashes} workers died while processing it")


def _excludes(label: Label, score: LabelScore) -> bool:
    """Whether a label keeps the picture from being blocked at once: only the picture can, never its text."""
    return label.exclude_from_automatic_block and score.alone >= label.review


def _action(label: Label, score: LabelScore) -> Action:
    return Action.BLOCK if label.block is not None and score.score >= label.block else Action.REVIEW


def _explain(label: Label, score: LabelScore) -> str:
    blocked = _action(label, score) is Action.BLOCK
    threshold = f"block at {label.block:g}" if blocked else f"review at {label.review:g}"
    return f"{label.name} {score.score:.2f} ({threshold}): {score.contest}"


def _nothing_found(scores: Sequence[LabelScore]) -> str:
    if not scores:
        return "the policy has no labels"
    nearest = max(scores, key=lambda s: s.score)
    return f"no label reached its threshold; nearest {nearest.label} {nearest.score:.2f}"
