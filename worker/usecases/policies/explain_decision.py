"""Explains a recorded decision: make it again from stored data, and compare the two."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from worker.domain.moderation.caption import Caption, CaptionRule
from worker.domain.moderation.decision import Decision, decide, hold_back
from worker.domain.moderation.rederivation import differences
from worker.domain.moderation.scoring import MOST_SCORES, Scorer
from worker.domain.policies.policy import Policy
from worker.domain.policies.stored_policy import StoredPolicy
from worker.encoder.phrases import encode_policy
from worker.encoder.protocol import Encoder
from worker.errors import InvalidLearnedError, InvalidPolicyError, UsageError
from worker.policy_files.stored import parse_stored
from worker.store.decisions import decisions, embeddings
from worker.store.decisions.decisions import RecordedDecision
from worker.store.decisions.embeddings import StoredEmbedding
from worker.store.engine.database import Database
from worker.store.policies import policy_versions
from worker.store.submissions import submissions
from worker.usecases.learning.load_learned import LoadLearned
from worker.usecases.moderation.recall_captions import RecallCaptions


@dataclass(frozen=True, slots=True)
class Explanation:
    """A recorded decision, and the same decision made again."""

    recorded: RecordedDecision
    #: The policy version that decided; None if its text can no longer be parsed.
    policy: Policy | None
    #: The decision made again; None if that is impossible, and `obstacle` is the reason.
    again: Decision | None
    obstacle: str
    #: In words; empty if both decisions are the same.
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExplainDecision:
    """Explain the decisions on a submission; only phrases are encoded, no picture is read."""

    database: Database
    encoder: Encoder
    #: The digest of this deployment's model and preprocessing, as recorded with decisions.
    model_digest: str
    learned: LoadLearned

    def __call__(self, name: str) -> list[Explanation]:
        """Return an explanation of every decision on a submission, oldest first.

        `name` is the submission's id, or a reference that only one submission has. UsageError if no
        submission, or more than one, matches.
        """
        with self.database.reading() as session:
            found = submissions.named(session, name)
            recorded = decisions.of_submissions(session, [found] if found else [])
            versions = {r.policy_digest: policy_versions.find(session, r.policy_digest) for r in recorded}
            kept = {r.id: self._embedding(session, r) for r in recorded}
            recall = RecallCaptions(self.encoder, self.model_digest)
            caption = recall(session, [found]).get(found) if found else None
        if not recorded:
            raise UsageError(
                f"no decision on a submission {name!r}", hint="moderate decisions lists what was decided"
            )
        return [self._explain(r, versions[r.policy_digest], kept[r.id], caption) for r in recorded]

    def _embedding(self, session: Session, recorded: RecordedDecision) -> StoredEmbedding | None:
        return embeddings.find(session, recorded.sha256, self.model_digest) if recorded.sha256 else None

    def _explain(
        self,
        recorded: RecordedDecision,
        stored: StoredPolicy | None,
        kept: StoredEmbedding | None,
        caption: Caption | None,
    ) -> Explanation:
        if stored is None:
            return _unexplained(recorded, None, "the version of its policy is no longer kept")
        try:
            policy = parse_stored(stored, f"{recorded.policy}.yaml")
        except InvalidPolicyError as error:
            return _unexplained(
                recorded, None, f"this version does not understand its policy: {error.message}"
            )
        if (obstacle := self._obstacle(recorded, caption)) or kept is None:
            return _unexplained(recorded, policy, obstacle or "the picture's embedding is no longer kept")
        try:
            again = self._decide(policy, kept, caption, held_back=recorded.held_back)
        except InvalidLearnedError as problem:
            return _unexplained(recorded, policy, problem.message)
        differing = list(differences(recorded.action, recorded.flagged, recorded.scores, again))
        if policy.digest != recorded.policy_digest:
            differing.insert(0, f"policy: recorded {recorded.policy_digest[:12]}, now {policy.digest[:12]}")
        return Explanation(recorded, policy, again, "", tuple(differing))

    def _obstacle(self, recorded: RecordedDecision, caption: Caption | None) -> str:
        """Return why a decision cannot be made again; empty if it can."""
        if not recorded.scores:
            return "the picture was not judged, so there is nothing to derive"
        if recorded.model_digest != self.model_digest:
            here = self.model_digest[:12]
            return f"another model decided: digest {recorded.model_digest[:12]}, here {here}"
        if caption is None and any(score.text for score in recorded.scores):
            return "the text that added to its scores is no longer kept"
        return ""

    def _decide(
        self, policy: Policy, kept: StoredEmbedding, caption: Caption | None, *, held_back: bool
    ) -> Decision:
        vectors, scale = encode_policy(self.encoder, policy), self.encoder.info.scale
        additions = CaptionRule(policy, vectors)(caption, scale) if policy.captions and caption else None
        score = Scorer(policy, vectors, self.learned(policy))
        scores = score(kept.embedding, scale, kept.views, most=MOST_SCORES, additions=additions)
        decision = decide(policy, scores, kept.facts.seen)
        limit = policy.automatic_blocks_per_hour
        return hold_back(decision, limit) if held_back and limit is not None else decision


def _unexplained(recorded: RecordedDecision, policy: Policy | None, obstacle: str) -> Explanation:
    return Explanation(recorded, policy, None, obstacle, ())
