"""Policy versions: the text of every digest that a decision refers to, and when it was last in force."""

from collections.abc import Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.domain.policies.policy import Policy
from worker.domain.policies.stored_policy import StoredPolicy
from worker.store.engine import inserting
from worker.store.engine.clock import database_now
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import PolicyVersionRow


def keep(session: Session, versions: Iterable[tuple[Policy, str]]) -> None:
    """Store the texts of these policies, except those whose digest is known."""
    rows = {
        policy.digest: {"digest": policy.digest, "name": policy.name, "text": text}
        for policy, text in versions
    }
    # In a fixed order, so that two workers that store the same versions never deadlock.
    inserting.keep(session, PolicyVersionRow, [rows[digest] for digest in sorted(rows)])


def text_of(session: Session, digest: str) -> str | None:
    """Return the text of the version with this digest; None if it is unknown."""
    return session.scalar(select(PolicyVersionRow.text).where(PolicyVersionRow.digest == digest))


def in_force(session: Session, policy: Policy, text: str) -> None:
    """Record that a version was put in force now, and replace its text with the current one.

    Texts with the same digest mean the same, but one may be a shadow and the other not: after a restart the
    later one applies.
    """
    state = {"text": text, "last_in_force_at": database_now(session)}
    session.execute(
        insert_into(
            session, PolicyVersionRow, digest=policy.digest, name=policy.name, **state
        ).on_conflict_do_update(index_elements=[PolicyVersionRow.digest], set_=state)
    )


def last_good(session: Session, name: str) -> StoredPolicy | None:
    """Return the version of this policy that was last put in force anywhere."""
    # A version that decided before this column existed was in force too.
    moment = func.coalesce(PolicyVersionRow.last_in_force_at, PolicyVersionRow.first_seen_at)
    columns = select(PolicyVersionRow.text, PolicyVersionRow.digest)
    row = session.execute(
        columns.where(PolicyVersionRow.name == name).order_by(moment.desc()).limit(1)
    ).one_or_none()
    return StoredPolicy(row.text, row.digest) if row else None


def starting_with(session: Session, prefix: str, limit: int) -> list[PolicyVersionRow]:
    """Return at most `limit` versions whose digest starts with hexadecimal `prefix`, newest first."""
    query = select(PolicyVersionRow).where(PolicyVersionRow.digest.startswith(prefix, autoescape=True))
    return list(session.scalars(query.order_by(PolicyVersionRow.first_seen_at.desc()).limit(limit)))
