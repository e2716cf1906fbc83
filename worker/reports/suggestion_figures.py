"""The JSON of suggested changes."""

from dataclasses import asdict
from typing import Any, Final

from worker.domain.evaluation.suggesting.suggestions import (
    BusyLabel,
    Change,
    FalseFlags,
    IdlePhrase,
    Look,
    Suggestions,
)
from worker.usecases.policies.suggesting.suggest_changes import SuggestedChanges

_LISTS: Final = ("changes", "prompts", "busy", "unnamed", "left")


def suggestion_figures(suggested: SuggestedChanges) -> dict[str, Any]:
    """Return what was found; the lists are empty if there were too few pictures."""
    policy, span = suggested.policy, suggested.span
    return {
        "policy": {"name": policy.name, "digest": policy.digest},
        "since": span.since.isoformat(),
        "of_policy": span.policy,
        "model": suggested.model,
        "looked_at": suggested.looked_at,
        "not_judged": suggested.undecoded,
        "of_other_models": suggested.of_other_models,
        "pictures": suggested.pictures,
        **_found(suggested.found),
    }


def _found(found: Suggestions | None) -> dict[str, Any]:
    if found is None:
        return {"verdicts": 0, **dict.fromkeys(_LISTS, ()), "idle": None}
    return {
        "verdicts": found.judged,
        "false_flags": found.false,
        "right_flags": found.right,
        "chosen_by": "verdicts" if found.by_verdict else "flags",
        "changes": [_change(change) for change in found.changes],
        "prompts": [asdict(prompt) for prompt in found.prompts],
        "busy": [_busy(busy) for busy in found.busy],
        "unnamed": _looks(found.unnamed),
        "left": [_left(left) for left in found.left],
        "idle": _idle(found.idle),
    }


def _idle(idle: tuple[IdlePhrase, ...] | None) -> list[dict[str, Any]] | None:
    return None if idle is None else [{"at": one.path, "phrase": one.phrase} for one in idle]


def _change(change: Change) -> dict[str, Any]:
    return {
        "change": "add" if change.edit.adds else "remove",
        "at": change.edit.path,
        "phrase": change.edit.phrase,
        "effect": asdict(change.effect),
        "submissions": change.examples,
    }


def _busy(busy: BusyLabel) -> dict[str, Any]:
    return {
        "label": busy.label,
        "flagged": busy.flagged,
        "uploads": busy.uploads,
        "looks_like": _looks(busy.looks),
    }


def _left(left: FalseFlags) -> dict[str, Any]:
    return {"label": left.label, "false_flags": left.count, "looks_like": _looks(left.looks)}


def _looks(looks: tuple[Look, ...]) -> list[dict[str, Any]]:
    return [{"noun": look.noun, "share": look.share} for look in looks]
