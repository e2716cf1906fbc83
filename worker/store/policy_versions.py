"""Policy versions: the text behind every digest that a decision names."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.domain.policy import Policy
from worker.store import inserting
from worker.store.tables import PolicyVersionRow


def keep(session: Session, policy: Policy, text: str) -> None:
    """Keep a policy's text, unless its digest is known."""
    inserting.keep(session, PolicyVersionRow, digest=policy.digest, name=policy.name, text=text)


def starting_with(session: Session, prefix: str, limit: int) -> list[PolicyVersionRow]:
    """Return at most `limit` versions whose digest begins so, the newest first; `prefix` is hexadecimal."""
    query = select(PolicyVersionRow).where(PolicyVersionRow.digest.startswith(prefix, autoescape=True))
    return list(session.scalars(query.order_by(PolicyVersionRow.first_seen_at.desc()).limit(limit)))
