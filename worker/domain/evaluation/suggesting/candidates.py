"""Candidates: harmless phrases that might be added to a policy, and where each of them may go."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.domain.evaluation.policy_lint import INSIDE
from worker.domain.moderation.scoring import Matrix, PhraseVectors
from worker.domain.policies.policy import Policy


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Phrases with their vectors."""

    phrases: Sequence[str]
    #: Shape (phrases, dimension).
    matrix: Matrix
    #: Which may be background; and which a lookalike of each label, shape (labels, phrases).
    in_background: NDArray[np.bool_]
    in_lookalikes: NDArray[np.bool_]

    @classmethod
    def of(cls, policy: Policy, nouns: Sequence[str], vectors: PhraseVectors) -> "Candidates":
        """Take the nouns and the lookalikes of the policy, which may help other labels too.

        A phrase goes into no list of which it is a part already, nor against a prompt that the model hardly
        distinguishes from it: it would hide what the label looks for.
        """
        lookalikes = [phrase for label in policy.labels for phrase in label.lookalikes]
        known = {*policy.background, *(prompt for label in policy.labels for prompt in label.prompts)}
        phrases = [phrase for phrase in dict.fromkeys([*nouns, *lookalikes]) if phrase not in known]
        matrix = vectors.matrix[[vectors.index[phrase] for phrase in phrases]]
        inside = np.zeros((len(policy.labels), len(phrases)), np.bool_)
        own = np.zeros_like(inside)
        for number, label in enumerate(policy.labels):
            prompts = vectors.matrix[[vectors.index[prompt] for prompt in label.prompts]]
            inside[number] = (matrix @ prompts.T).max(axis=1, initial=-1.0) >= INSIDE
            own[number] = [phrase in label.lookalikes for phrase in phrases]
        return cls(phrases, matrix, np.logical_not(inside.any(axis=0)), ~inside & ~own)

    def only(self, wanted: Sequence[str]) -> "Candidates":
        """Return some of the candidates."""
        kept = np.isin(np.array(self.phrases, np.str_), np.array(wanted, np.str_))
        return Candidates(
            [phrase for phrase, is_kept in zip(self.phrases, kept, strict=True) if is_kept],
            self.matrix[kept],
            self.in_background[kept],
            self.in_lookalikes[:, kept],
        )
