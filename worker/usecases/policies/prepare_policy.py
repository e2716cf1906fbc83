"""Prepares a policy to be put in force: embed its phrases, check their length, run its tests."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from worker.domain.evaluation.expectation import decisive_scores, in_words
from worker.domain.evaluation.wording import counted
from worker.domain.moderation.scoring import PhraseVectors
from worker.domain.policies.policy import Policy
from worker.encoder.phrases import encode_policy, phrases_beyond_window
from worker.encoder.protocol import Encoder
from worker.errors import InvalidLearnedError, InvalidPolicyError
from worker.policy_files.findings import Findings
from worker.policy_files.library import Prepared
from worker.policy_files.yaml_text.problems import PolicyProblem, quote
from worker.usecases.learning.load_learned import LearnedInForce
from worker.usecases.policies.read_phrases import find_unreadable
from worker.usecases.policies.run_policy_tests import Outcome, RunPolicyTests

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PreparePolicy:
    """Embed the phrases of a policy, and refuse it if a check fails."""

    run_tests: RunPolicyTests
    #: Finds what policies learned; None: they have learned nothing.
    learned: LearnedInForce | None = None
    #: The text of each file at its last warning: a refused file is prepared again and again.
    _warned_of: dict[Path, str] = field(default_factory=dict, repr=False)

    def __call__(self, policy: Policy, file: Path, text: str) -> Prepared:
        """Return the policy described by `text`, the content of `file`, with its vectors and what it learned.

        InvalidPolicyError with every phrase that the model would cut off, or every test that fails, each
        with its place in the text. Phrases that the model cannot read are logged as a warning, once for each
        text.
        """
        encoder = self.run_tests.judge_picture.encoder
        vectors = embed_policy(encoder, policy, file, text)
        if self._warned_of.get(file) != text:
            # Before the tests: unreadable phrases may be why they fail.
            _warn(policy, file, find_unreadable(encoder, policy, vectors, Findings(file, text)).problems())
            self._warned_of[file] = text
        prepared = self._with_learned(policy, vectors)
        failures = Findings(file, text)
        for number, outcome in enumerate(self.run_tests(prepared, file.parent)):
            if not outcome.passed:
                failures.add(("tests", number, "picture"), *_explain(prepared.policy, outcome, file))
        failures.raise_if_any()
        return prepared

    def _with_learned(self, policy: Policy, vectors: PhraseVectors) -> Prepared:
        """Return the policy with what it learned: what its version names, or else what is in force."""
        if self.learned is None:
            return Prepared(policy, vectors)
        try:
            version = policy if policy.learned else self.learned.learn(policy)
            return Prepared(version, vectors, self.learned.load(version))
        except InvalidLearnedError as problem:
            raise InvalidPolicyError(problem.message, hint=problem.hint) from problem


def embed_policy(encoder: Encoder, policy: Policy, file: Path, text: str) -> PhraseVectors:
    """Return the vectors of a policy's phrases; InvalidPolicyError if the model would cut one off."""
    too_long = phrases_beyond_window(encoder, list(policy.phrases()), policy.templates)
    problems = Findings(file, text)
    for at, phrases in policy.phrase_lists():
        for phrase in filter(too_long.__contains__, phrases):
            found = too_long[phrase]
            message = (
                f"this phrase has {found.tokens} tokens in the template {quote(found.template)}; the model "
                f"reads {found.window}"
            )
            hint = "it would be cut off: say it in fewer words, or make several phrases of it"
            problems.add(at, message, hint, phrase=phrase)
    too_long = phrases_beyond_window(encoder, policy.neutral_captions, ("{}",))
    for caption, found in too_long.items():
        problems.add(
            ("text", "background"),
            f"this caption has {found.tokens} tokens; the model reads {found.window}",
            "it would be cut off: say it in fewer words",
            phrase=caption,
        )
    problems.raise_if_any()
    return encode_policy(encoder, policy)


def _warn(policy: Policy, file: Path, found: Sequence[PolicyProblem]) -> None:
    """Log one line for a policy, however many findings there are."""
    if not found:
        return
    first, more = found[0], len(found) - 1
    log.warning(
        "policy %s: %s:%d:%d: %s%s; `moderate policy check %s` shows %s",
        policy.name,
        file,
        first.line,
        first.column,
        first.message,
        f", and {counted(more, 'more warning')}" if more else "",
        file,
        "all" if more else "the way out",
    )


def _explain(policy: Policy, outcome: Outcome, file: Path) -> tuple[str, str]:
    test, decision = outcome.test, outcome.decision
    message = f"the test of {quote(test.picture)} fails: expected {in_words(test.action, test.labels)}"
    if decision is None:
        return f"{message}; {outcome.problem}", "correct the name, or take the test out"
    message += f"; got {in_words(decision.action, decision.flagged)}"
    scores = decisive_scores(policy, test, decision)
    why = "; ".join(map(str, scores)) or decision.reason
    return f"{message}; {why}", f"moderate policy test {file} shows every test and its scores"
