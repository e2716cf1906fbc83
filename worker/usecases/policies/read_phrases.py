"""Finds phrases that a model cannot read: they pass validation, but switch their label off."""

from collections.abc import Iterator

from worker.domain.evaluation.legibility import lint_legibility, words_of
from worker.domain.evaluation.policy_lint import Finding, lint_collapsed
from worker.domain.moderation.scoring import PhraseVectors
from worker.domain.policies.policy import Policy
from worker.encoder.protocol import Encoder
from worker.policy_files.findings import Findings
from worker.policy_files.hints import add_hints
from worker.policy_files.text.quotation import quotes_around
from worker.settings import BUNDLED_MODEL


def find_unreadable(encoder: Encoder, policy: Policy, vectors: PhraseVectors, found: Findings) -> Findings:
    """Add the phrases that the model misreads to `found`, and return it."""
    add_hints(policy, found)
    found.add_all(_for_another_model(encoder, policy))
    found.add_all(_illegible(encoder, policy))
    found.add_all(lint_collapsed(policy, vectors))
    return found


def _illegible(encoder: Encoder, policy: Policy) -> Iterator[Finding]:
    words = words_of(policy)
    # After another word, as usual: vocabularies have different pieces for the beginning of a text.
    (before,), read = encoder.pieces(["a"]), encoder.pieces([f"a {word}" for word in words])
    pieces = {word: found[len(before) :] for word, found in zip(words, read, strict=True)}
    for finding in lint_legibility(policy, pieces, encoder.vocabulary()):
        # Quotes around a phrase have a hint already.
        if not quotes_around(finding.phrase):
            yield finding


def _for_another_model(encoder: Encoder, policy: Policy) -> Iterator[Finding]:
    """Warn of a policy for photographs if the model is the bundled one, which knows only stickers."""
    if encoder.name == BUNDLED_MODEL and any("photo" in template for template in policy.templates):
        yield Finding(
            ("templates",),
            "",
            "the templates are for photographs, and the bundled model knows only drawings of stickers",
            'set MODERATION_MODEL to a model of photographs, or write templates: ["a sticker of {}", "{}"]',
        )
