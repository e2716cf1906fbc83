"""The factory of decided submissions: writes to the ledger and the decisions what a worker would."""

import numpy as np
from moderation_client.submission import Submission
from sqlalchemy.orm import Session

from worker.domain.moderation.decision import Decision
from worker.domain.moderation.picture import PictureFacts
from worker.domain.moderation.scoring import Matrix
from worker.domain.policies.policy import Policy
from worker.store.decisions import decisions, embeddings
from worker.store.policies import policy_versions
from worker.store.submissions import outcomes

MODEL_DIGEST = "c" * 64


def add_decided(  # noqa: PLR0913 - what differs from test to test
    session: Session,
    submission: Submission,
    policy: Policy,
    decision: Decision,
    *,
    facts: PictureFacts | None = None,
    vectors: Matrix | None = None,
    sha256: str | None = None,
    source: dict[str, object] | None = None,
    text: str = "name: default\n",
    model_digest: str = MODEL_DIGEST,
    again: bool = False,
) -> int | None:
    """Add a decided submission and return its decision's id; None if the ledger has it already.

    `again` adds a second decision then.

    `vectors`, shape (views, dimension), are the picture's embedding; they need `facts`, and any length.
    `sha256` is by default that of `facts`.
    """
    policy_versions.keep(session, [(policy, text)])
    sha256 = sha256 or (facts.sha256 if facts else None)
    decided = outcomes.DecidedSubmission(submission, policy.name, policy.digest, sha256, source)
    if not outcomes.record(session, [decided]) and not again:
        return None
    (decision_id,) = decisions.insert(
        session, [decisions.NewDecision(submission, policy, decision, "demo", model_digest, facts)]
    )
    if decision_id is not None and facts and vectors is not None:
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        embeddings.keep(session, model_digest, [(facts, unit.astype(np.float32))])
    return decision_id
