"""The sentences about suggested changes."""

import json
import re
from typing import Final

from worker.domain.evaluation.suggesting.aim import LEAST_JUDGED
from worker.domain.evaluation.suggesting.suggest import LEAST_PICTURES
from worker.domain.evaluation.suggesting.suggestions import (
    BusyLabel,
    Change,
    Edit,
    Effect,
    FalseFlags,
    Look,
    PromptErrors,
    Suggestions,
)
from worker.domain.evaluation.wording import counted
from worker.reports.wording import moment
from worker.usecases.policies.suggesting.suggest_changes import SuggestedChanges

#: A phrase that YAML reads as text without quotes, also within brackets.
_PLAIN: Final = re.compile(r"[^\W\d_][\w' -]*[\w']|[^\W\d_]")
#: Words that YAML reads as something else.
_NO_TEXT: Final = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})


def coverage(suggested: SuggestedChanges) -> str:
    """Say what was looked at, and what was left out and why."""
    text = f"{_decided(suggested)}: {counted(suggested.pictures, 'different picture')}"
    if suggested.undecoded:
        text += f"; {suggested.undecoded:,} more had no picture that could be judged"
    if suggested.of_other_models:
        text += f"; {suggested.of_other_models:,} more have no embedding of the model {suggested.model}"
    return f"{text}."


def empty_reason(suggested: SuggestedChanges) -> str:
    """Say why nothing can be suggested, and what to do; empty if something can."""
    if suggested.found is not None:
        return ""
    if suggested.looked_at:
        return (
            f"{coverage(suggested)} At least {LEAST_PICTURES} are needed, as one half chooses and the other "
            "measures: try a longer --since."
        )
    if suggested.of_other_models:
        others, model = counted(suggested.of_other_models, "submission"), suggested.model
        return (
            f"{others} decided {_within(suggested)}, but none has an embedding of the model {model}: they "
            "were judged by another model, or their embeddings were removed. Set MODERATION_MODEL to the "
            "model that judged them."
        )
    return f"No picture was judged {_within(suggested)}. Try a longer --since."


def basis(found: Suggestions) -> str:
    """Say what changes are chosen by."""
    judged = counted(found.judged, "picture")
    how = (
        "Each was chosen on one half of the pictures; its effect is that on the other half, beyond the "
        "changes before it."
    )
    if found.by_verdict:
        false = counted(found.false, "false flag")
        return f"The verdicts on {judged} choose the changes: {false}, {found.right:,} right. {how}"
    return (
        f"Nothing tells right from wrong here: {found.false + found.right:,} flags have a verdict, and "
        f"{LEAST_JUDGED} are needed. So changes take flags away from labels that flag many uploads, by "
        f"things that many people upload: look at the pictures before you accept one. {how}"
    )


def title(edit: Edit) -> str:
    """Say what to do."""
    place = edit.path[-1] if edit.label is None else f"the {edit.path[-1]} of {edit.label}"
    return f"Add to {place}" if edit.adds else f"Remove from {place}, or sharpen"


def lines(edit: Edit) -> str:
    """Return the lines of YAML, with the keys above them."""
    keys = [f"{'  ' * depth}{_text(key)}:" for depth, key in enumerate(edit.path)]
    phrase = f"{'  ' * len(keys)}{'- ' if edit.adds else '# - '}{_text(edit.phrase)}"
    return "\n".join([*keys, phrase])


def effect(change: Change, *, by_verdict: bool) -> str:
    """Say what a change does."""
    found = change.effect
    unjudged = f"{found.unjudged_gone:,} of {counted(found.unjudged, 'flag')} without a verdict"
    if not by_verdict:
        return f"takes away {unjudged}"
    text = _judged(found, change.edit.label)
    return f"{text}; also {unjudged}" if found.unjudged else text


def examples(change: Change) -> str:
    """Name submissions that lose a flag."""
    return f"such as {', '.join(change.examples)}" if change.examples else ""


def prompt(found: PromptErrors) -> str:
    """Say what a prompt costs and what it finds."""
    left = f", {found.false_left:,} after the changes above" if found.false_left != found.false else ""
    alone = (
        f"only it finds {found.right_alone:,} of {found.right_of_label:,} right ones"
        if found.right_of_label
        else "no verdict says that the label was ever right"
    )
    return f"nearest in {found.false:,} of {counted(found.false_of_label, 'false flag')}{left}; {alone}"


def busy(found: BusyLabel) -> str:
    """Say how much a label flags, and what that looks like."""
    text = f"{found.label} flags {found.flagged:,} of {counted(found.uploads, 'upload')} ({found.share:.0%})"
    return f"{text}; they look like {looks(found.looks)}" if found.looks else text


def left(found: FalseFlags) -> str:
    """Say what the false flags of a label look like."""
    return f"{found.label}: {counted(found.count, 'false flag')}, like {looks(found.looks)}"


def looks(found: tuple[Look, ...]) -> str:
    """List nouns with their shares."""
    return ", ".join(f"{look.noun} ({look.share:.0%})" for look in found)


def _decided(suggested: SuggestedChanges) -> str:
    return f"{counted(suggested.looked_at, 'submission')} decided {_within(suggested)}"


def _within(suggested: SuggestedChanges) -> str:
    return f"since {moment(suggested.span.since)} UTC under the policy {suggested.policy.name}"


def _judged(found: Effect, label: str | None) -> str:
    false = counted(found.false, "false flag") + (f" of {label}" if label else "")
    text = f"takes away {found.false_gone:,} of {false}"
    return (
        f"{text}, loses {found.right_gone:,} of {counted(found.right, 'right one')}" if found.right else text
    )


def _text(phrase: str) -> str:
    """Return a phrase as YAML text, in quotes if it needs them."""
    is_plain = _PLAIN.fullmatch(phrase) and phrase.casefold() not in _NO_TEXT
    return phrase if is_plain else json.dumps(phrase, ensure_ascii=False)
