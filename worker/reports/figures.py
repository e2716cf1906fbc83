"""The JSON of a comparison and of a hunt."""

from typing import Any

from worker.domain.evaluation.backtest import ACTIONS
from worker.domain.evaluation.comparison import LabelTally, PolicyAgreement, days_of
from worker.domain.moderation.decision import Decision
from worker.domain.moderation.scoring import LabelScore
from worker.domain.policies.policy import Policy
from worker.store.operations.archive import Span
from worker.usecases.policies.compare_policies import Comparison, Flip
from worker.usecases.policies.hunt_phrase import Hunt, Sighting


def comparison_figures(comparison: Comparison) -> dict[str, Any]:
    """Return all counts, and the flips that were kept."""
    tally = comparison.tally
    return {
        "old": _policy(comparison.old),
        "new": _policy(comparison.new),
        **_span(comparison.span),
        "until": comparison.until.isoformat(),
        "model": comparison.model,
        "decided": comparison.decided,
        "compared": tally.pictures,
        "not_judged": comparison.undecoded,
        "of_other_models": comparison.of_other_models,
        "changed": tally.changed,
        "limits_simulated": False,
        "moves": [
            {"old": old.value, "new": new.value, "submissions": count}
            for row, old in zip(tally.moves.tolist(), ACTIONS, strict=True)
            for count, new in zip(row, ACTIONS, strict=True)
        ],
        "days": [
            {"day": day.isoformat(), "old": _actions(counts[:3]), "new": _actions(counts[3:])}
            for day, counts in days_of(tally)
        ],
        "per_day": per_day(comparison),
        "verdicts": tally.verdicts,
        "agreement": _agreements(tally.old_agreement, tally.new_agreement),
        "labels": [_label(label) for label in tally.labels],
        "flips": [_flip(flip) for flip in comparison.flips],
    }


def hunt_figures(hunt: Hunt) -> dict[str, Any]:
    """Return what was found, the strongest first."""
    return {
        "phrase": hunt.phrase,
        "policy": _policy(hunt.policy),
        **_span(hunt.span),
        "model": hunt.model,
        "looked_at": hunt.looked_at,
        "not_judged": hunt.undecoded,
        "of_other_models": hunt.of_other_models,
        "found": [_sighting(sighting) for sighting in hunt.sightings],
    }


def per_day(comparison: Comparison) -> dict[str, dict[str, float]]:
    """Return the load per day under both policies; `audited` is the expected size of the audit sample."""
    tally = comparison.tally
    before, after = tally.moves.sum(axis=1), tally.moves.sum(axis=0)

    def load(policy: Policy, counts: Any) -> dict[str, float]:
        allowed, reviews, blocks = (count / tally.days_spanned for count in counts.tolist())
        return {"reviews": reviews, "blocks": blocks, "audited": allowed * policy.share_of_allowed}

    return {"old": load(comparison.old, before), "new": load(comparison.new, after)}


def _policy(policy: Policy) -> dict[str, Any]:
    return {"name": policy.name, "digest": policy.digest}


def _span(span: Span) -> dict[str, Any]:
    return {"since": span.since.isoformat(), "of_policy": span.policy}


def _actions(counts: Any) -> dict[str, int]:
    return {action.value: int(count) for action, count in zip(ACTIONS, counts, strict=True)}


def _label(label: LabelTally) -> dict[str, Any]:
    return {
        "label": label.name,
        "flagged_before": label.before,
        "flagged_after": label.after,
        "newly_flagged": label.gained,
        "no_longer_flagged": label.lost,
        **_agreements(*label.agreements),
        "old_scores": None if label.old_scores is None else label.old_scores.tolist(),
        "new_scores": None if label.new_scores is None else label.new_scores.tolist(),
    }


def _agreements(old: PolicyAgreement, new: PolicyAgreement) -> dict[str, float | None]:
    return {
        "old_precision": old.precision,
        "new_precision": new.precision,
        "old_recall": old.recall,
        "new_recall": new.recall,
    }


def _flip(flip: Flip) -> dict[str, Any]:
    return {
        "submission": flip.submission.id,
        "reference": flip.submission.reference,
        "sha256": flip.sha256,
        "decided_at": flip.decided_at.isoformat(),
        "old": _decision(flip.old),
        "new": _decision(flip.new),
        "labels": [
            {
                "label": label.label,
                "old_action": label.old_action.value,
                "new_action": label.new_action.value,
                "old": _score(label.old),
                "new": _score(label.new),
            }
            for label in flip.labels
        ],
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {"action": decision.action.value, "labels": list(decision.flagged), "reason": decision.reason}


def _score(found: LabelScore | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "score": found.score,
        "prompt": found.prompt,
        "prompt_cosine": found.prompt_cosine,
        "background": found.background,
        "background_cosine": found.background_cosine,
        **found.view.as_json(),
    }


def _sighting(sighting: Sighting) -> dict[str, Any]:
    return {
        "submission": sighting.submission.id,
        "reference": sighting.submission.reference,
        "sha256": sighting.sha256,
        "decided_at": sighting.decided_at.isoformat(),
        "action": sighting.action.value,
        "uploads": sighting.uploads,
        "score": sighting.score.score,
        "cosine": sighting.score.prompt_cosine,
        "background": sighting.score.background,
        "background_cosine": sighting.score.background_cosine,
        **sighting.score.view.as_json(),
    }
