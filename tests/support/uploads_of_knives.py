"""Fills a database with uploads that the model takes for knives, and what people said about them.

The embeddings are the bundled model's vectors of phrases: a picture of scissors lies between "scissors" and
"a kitchen knife", nearer to the former, as it does for a model that confuses them.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256

import numpy as np
from moderation_client.submission import LocalFile, Submission

from worker.domain.moderation.decision import Decision
from worker.domain.moderation.picture import PictureFacts
from worker.domain.policies.policy import Action, Label, Policy
from worker.encoder.phrases import encode_phrases
from worker.encoder.protocol import Encoder
from worker.store.decisions import decisions, embeddings
from worker.store.engine.database import Database
from worker.store.policies import policy_versions
from worker.store.reviews import verdicts
from worker.store.submissions import outcomes

POLICY = Policy("knives", ("an ordinary picture",), (Label("weapons", ("a kitchen knife",)),))
TEXT = """name: knives
background: [an ordinary picture]
labels:
  weapons:
    prompts: [a kitchen knife]
"""
#: What is uploaded, how often, and what the pictures lie between.
UPLOADS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "knife": (40, ("a kitchen knife",)),
    "scissors": (40, ("a kitchen knife", "scissors", "scissors")),
    "cat": (30, ("a cat",)),
}


def fill(
    database: Database, encoder: Encoder, model_digest: str, *, judged: bool = True, most: int | None = None
) -> None:
    """Record the uploads, at most `most` of each; a person has judged those that are flagged."""
    things = sorted({thing for _, between in UPLOADS.values() for thing in between})
    vectors = encode_phrases(encoder, things, POLICY.templates)
    random = np.random.default_rng(1)
    with database.transaction() as session:
        policy_versions.keep(session, [(POLICY, TEXT)])
        for name, between in _uploads(most):
            vector = vectors.matrix[[vectors.index[thing] for thing in between]].sum(axis=0)
            vector = vector / np.linalg.norm(vector) + 0.02 * random.normal(size=len(vector))
            action = Action.ALLOW if name.startswith("cat") else Action.REVIEW
            what = Submission(name, LocalFile(f"{name}.png"), reference=f"post of {name}")
            facts = PictureFacts(sha256(name.encode()).hexdigest(), "PNG", 64, 64, frames=1)
            outcomes.record(
                session,
                [outcomes.DecidedSubmission(what, POLICY.name, POLICY.digest, facts.sha256, {})],
            )
            made = decisions.NewDecision(what, POLICY, Decision(action, "-"), "demo", model_digest, facts)
            (decision_id,) = decisions.insert(session, [made])
            unit = (vector / np.linalg.norm(vector)).astype(np.float32)
            embeddings.keep(session, model_digest, [(facts, unit[None])])
            if judged and action is Action.REVIEW and decision_id is not None:
                is_knife = name.startswith("knife")
                verdict = verdicts.Verdict(
                    name,
                    Action.BLOCK if is_knife else Action.ALLOW,
                    frozenset({"weapons"} if is_knife else ()),
                )
                verdicts.record(session, verdict, decision_id=decision_id, reviewer="ada")


def _uploads(most: int | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    for kind, (count, between) in UPLOADS.items():
        for n in range(count if most is None else min(count, most)):
            yield f"{kind}-{n}", between
