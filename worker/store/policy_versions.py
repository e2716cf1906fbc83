"""Policy versions: the text behind every digest that a decision names."""

from sqlalchemy.orm import Session

from worker.domain.policy import Policy
from worker.store import inserting
from worker.store.tables import PolicyVersionRow


def keep(session: Session, policy: Policy, text: str) -> None:
    """Keep a policy's text, unless its digest is known."""
    inserting.keep(session, PolicyVersionRow, digest=policy.digest, name=policy.name, text=text)
