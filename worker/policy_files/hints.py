"""Lint that needs no model: quotes, bullets and low thresholds that are valid but hardly intended."""

from typing import Final

from worker.domain.policies.policy import Policy
from worker.policy_files.findings import Findings
from worker.policy_files.text.quotation import quotes_around
from worker.policy_files.yaml_text.wrappers import wrapper_of

#: A review threshold below this flags nearly every picture; a tie of prompt and background is 0.5.
_NEARLY_EVERYTHING: Final = 0.05


def add_hints(policy: Policy, found: Findings) -> None:
    """Add every hint about the policy, at its place."""
    lists = [*policy.phrase_lists(), (("templates",), policy.templates)]
    for at, phrases in lists:
        for phrase in phrases:
            if hint := _hint(phrase, found.as_written(at, phrase)):
                found.add(at, *hint, phrase=phrase)
    for label in policy.labels:
        if label.review < _NEARLY_EVERYTHING:
            found.add(
                ("labels", label.name, "review"),
                f"review at {label.review:g} sends nearly every picture to a person",
                "a tie with the background is 0.5: begin there",
            )


def _hint(phrase: str, written: str) -> tuple[str, str] | None:
    """Return a message about a phrase and a hint, or None."""
    if quotes := quotes_around(phrase) or _quotes_around_gap(phrase):
        return (
            f"the quotes {' '.join(quotes)} are part of this phrase, and the model reads them",
            "YAML takes off plain quotes, \" and ', and no others: write plain ones, or none",
        )
    if wrapper := wrapper_of(written):
        return wrapper
    if "{}" not in phrase and not any(character.isalnum() for character in phrase):
        return "there is no word in this phrase", "say in words what is to be seen"
    return None


def _quotes_around_gap(template: str) -> str:
    """Return the quotes directly around a template's {}, which would surround every phrase."""
    before, gap, after = template.partition("{}")
    return quotes_around(f"{before[-1:]}x{after[:1]}") if gap and before and after else ""
