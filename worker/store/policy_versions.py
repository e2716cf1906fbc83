"""Policy versions: the text behind every digest that a decision names."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.domain.policy import Policy
from worker.store import inserting
from worker.store.tables import PolicyVersionRow


def keep(session: Session, policy: Policy, text: str) -> None:
    """Keep a policy's text, unless its digest is known."""
    inserting.keep(session, PolicyVersionRow, digest=policy.digest, name=policy.name, text=text)


def text_of(session: Session, digest: str) -> str | None:
    """Return the file of the version with this digest as it was; None where none is known."""
    return session.scalar(select(PolicyVersionRow.text).where(PolicyVersionRow.digest == digest))
