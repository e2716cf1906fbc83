"""The JSON fields of a decision: the same in events, the HTTP API and the command line."""

from typing import Any

from worker.domain.moderation.in_force import InForce
from worker.domain.moderation.scoring import LabelScore
from worker.store.decisions.decisions import RecordedDecision


def decision_fields(decision: RecordedDecision) -> dict[str, Any]:
    """Return a decision as JSON types; it identifies the picture and the policy, never a person."""
    return {
        "id": decision.id,
        "submission": decision.submission_id,
        "reference": decision.reference,
        "context": decision.context,
        "text": decision.text,
        "policy": decision.policy,
        "policy_digest": decision.policy_digest,
        "model_digest": decision.model_digest,
        "action": decision.action.value,
        "labels": list(decision.flagged),
        "severity": decision.severity,
        "reason": decision.reason,
        "held_back": decision.held_back,
        "sha256": decision.sha256,
        "parts": decision.parts,
        "area_share": decision.area_share,
        "time_share": decision.time_share,
        "decided_at": decision.created_at.isoformat().replace("+00:00", "Z"),
        "scores": [_score_fields(score) for score in decision.scores],
    }


def listed_decision_fields(decision: RecordedDecision, state: InForce) -> dict[str, Any]:
    """Return a decision as a list shows it: `action` is in force now, `policy_action` is the policy's."""
    own = decision_fields(decision)
    return {**own, **state.as_json(), "policy_action": own["action"]}


def _score_fields(score: LabelScore) -> dict[str, Any]:
    return {
        "label": score.label,
        "score": score.score,
        "prompt": score.prompt,
        "prompt_cosine": score.prompt_cosine,
        "background": score.background,
        "background_cosine": score.background_cosine,
        **score.view.as_json(),
        "text_added": score.text.added if score.text else 0.0,
    }
