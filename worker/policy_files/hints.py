"""What is valid in a policy file and hardly meant, to be seen without a model: quotes, thresholds near 0."""

from worker.domain.policy import Policy
from worker.policy_files.findings import Findings
from worker.policy_files.quotation import quotes_around

#: A picture on which prompt and background tie has 0.5.
_NEARLY_EVERYTHING = 0.05


def add_hints(policy: Policy, found: Findings) -> None:
    """Note every hint about the policy, at its place."""
    lists = [*policy.phrase_lists(), (("templates",), policy.templates)]
    for at, phrases in lists:
        for phrase in phrases:
            quotes = quotes_around(phrase) or _quotes_around_gap(phrase)
            if quotes:
                found.add(
                    at,
                    f"the quotes {' '.join(quotes)} are part of this phrase, and the model reads them",
                    "YAML takes off plain quotes, \" and ', and no others: write plain ones, or none",
                    phrase=phrase,
                )
    for label in policy.labels:
        if label.review < _NEARLY_EVERYTHING:
            found.add(
                ("labels", label.name, "review"),
                f"review at {label.review:g} sends nearly every picture to a person",
                "a tie with the background is 0.5: begin there",
            )


def _quotes_around_gap(template: str) -> str:
    """Return the quotes directly around a template's gap, which then stand around every phrase."""
    before, gap, after = template.partition("{}")
    return quotes_around(f"{before[-1:]}x{after[:1]}") if gap and before and after else ""
