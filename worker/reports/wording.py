"""The sentences that the terminal and the HTML file share."""

from collections.abc import Sequence
from datetime import datetime

from worker.domain.evaluation.backtest import ACTIONS
from worker.domain.moderation.scoring import LabelScore
from worker.domain.policies.policy import Action, Policy
from worker.store.operations.archive import Span
from worker.usecases.policies.compare_policies import Comparison, Flip, LabelFlip
from worker.usecases.policies.hunt_phrase import Hunt


def headline(comparison: Comparison) -> str:
    """Say in one sentence what would change."""
    tally = comparison.tally
    what = f"{_of(tally.changed, tally.pictures)} would change"
    return f"{what}: {', '.join(_moves(comparison))}." if tally.changed else f"{what}."


def coverage(found: Comparison | Hunt) -> str:
    """Say how many submissions were compared or searched, and which were left out and why."""
    looked_at = found.tally.pictures if isinstance(found, Comparison) else found.looked_at
    text = f"{looked_at:,} {_submissions(looked_at)} decided {_within(found.span)}"
    if found.undecoded:
        text += f"; {found.undecoded:,} more had no picture that could be judged"
    if found.of_other_models:
        text += f"; {found.of_other_models:,} more have no embedding of the model {found.model}"
    return f"{text}."


def empty_reason(found: Comparison | Hunt) -> str:
    """Say why there is nothing to show, and what to do; empty if there is something."""
    looked_at = found.tally.pictures if isinstance(found, Comparison) else found.looked_at
    if looked_at:
        return ""
    if found.of_other_models:
        return (
            f"{found.of_other_models:,} {_submissions(found.of_other_models)} decided {_within(found.span)}, "
            f"but none has an embedding of the model {found.model}: they were judged by another model, or "
            "their embeddings were removed. Set MODERATION_MODEL to the model that judged them."
        )
    if found.undecoded:
        return (
            f"{found.undecoded:,} {_submissions(found.undecoded)} decided {_within(found.span)}, "
            "and none of them had a picture that could be judged."
        )
    otherwise = ", or --all for every policy" if found.span.policy else ""
    return f"Nothing was decided {_within(found.span)}. Try a longer --since{otherwise}."


def notes(comparison: Comparison) -> list[str]:
    """Say what the figures leave out."""
    old, new = comparison.old, comparison.new
    lines = ["Limits per hour are not simulated: a block counts as one, however many there are."]
    if comparison.undecoded and _without_picture(old) != _without_picture(new):
        lines.append("What cannot be judged would be decided differently too; it is not in these figures.")
    if comparison.tally.verdicts:
        lines.append(
            "People mostly see what was flagged, so what both policies miss is missing here as well: read "
            "recall as an upper bound."
        )
    return lines


def verdict_count(comparison: Comparison) -> str:
    """Say how many verdicts precision and recall rest on."""
    count = comparison.tally.verdicts
    if not count:
        return "no verdicts yet, so no precision and recall"
    return f"measured against {count:,} {'verdict' if count == 1 else 'verdicts'}"


def reasons(flip: Flip, new: Policy) -> list[str]:
    """Say why a submission flips: the phrases of each label that flips, or the new decision's reason."""
    return [_label_reason(label, new) for label in flip.labels] or [flip.new.reason]


def version(policy: Policy) -> str:
    """Name a version of a policy."""
    return f"{policy.name} {policy.digest[:12]}"


def nearest(policy: Policy, scores: Sequence[LabelScore]) -> list[LabelScore]:
    """Return the three labels nearest to their review threshold or furthest above it."""
    return sorted(scores, key=lambda found: policy.label(found.label).review - found.score)[:3]


def moment(at: datetime) -> str:
    """Write a time for people."""
    return f"{at:%Y-%m-%d %H:%M}"


def percent(share: float | None) -> str:
    """Write a share in percent, or a dash for None."""
    return "–" if share is None else f"{share:.0%}"  # noqa: RUF001 - an en dash, as tables have it


def _without_picture(policy: Policy) -> tuple[object, ...]:
    return policy.on_undecodable, policy.on_undecodable_kinds, policy.on_error


def _moves(comparison: Comparison) -> list[str]:
    tally = comparison.tally
    moves = [
        f"{count:,} from {old.value} to {new.value}"
        for row, old in zip(tally.moves.tolist(), ACTIONS, strict=True)
        for count, new in zip(row, ACTIONS, strict=True)
        if count and old is not new
    ]
    relabelled = tally.changed - int(tally.moves.sum() - tally.moves.trace())
    return moves + ([f"{relabelled:,} in their labels alone"] if relabelled else [])


def _label_reason(flip: LabelFlip, new: Policy) -> str:
    shown = flip.new or flip.old
    if shown is None:
        return flip.label
    return f"{flip.label} {_scores(flip, new)}: {shown.pair}{shown.view}{shown.together}"


def _scores(flip: LabelFlip, new: Policy) -> str:
    before, after = (None if found is None else f"{found.score:.2f}" for found in (flip.old, flip.new))
    if after is None:
        return f"{before}, no longer a label"
    label = new.label(flip.label)
    blocks = flip.new_action is Action.BLOCK and label.block is not None
    threshold = f"block at {label.block:g}" if blocks else f"review at {label.review:g}"
    moved = after if before in {None, after} else f"{before} → {after}"
    return f"{moved} ({'new label, ' if before is None else ''}{threshold})"


def _within(span: Span) -> str:
    policy = f" under the policy {span.policy}" if span.policy else ""
    return f"since {moment(span.since)} UTC{policy}"


def _of(count: int, total: int) -> str:
    return f"{count or 'None'} of {total:,} {'submission' if total == 1 else 'submissions'}"


def _submissions(count: int) -> str:
    return "submission was" if count == 1 else "submissions were"
