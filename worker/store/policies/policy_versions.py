"""Policy versions: the text behind every digest that a decision names, and when it was last in force."""

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
    """Keep the texts of these policies, but those whose digest is known."""
    rows = {
        policy.digest: {"digest": policy.digest, "name": policy.name, "text": text}
        for policy, text in versions
    }
    # In one order, so that two workers who keep the same ones never wait for each other.
    inserting.keep(session, PolicyVersionRow, [rows[digest] for digest in sorted(rows)])


def text_of(session: Session, digest: str) -> str | None:
    """Return the file of the version with this digest as it was; None where none is known."""
    return session.scalar(select(PolicyVersionRow.text).where(PolicyVersionRow.digest == digest))


def in_force(session: Session, policy: Policy, text: str) -> None:
    """Note that a version was put in force just now, and keep its text as it is now.

    Texts of one digest mean the same, but one may say that it is a shadow and the other not: the later
    one is what a restart goes back to.
    """
    state = {"text": text, "last_in_force_at": database_now(session)}
    session.execute(
        insert_into(
            session, PolicyVersionRow, digest=policy.digest, name=policy.name, **state
        ).on_conflict_do_update(index_elements=[PolicyVersionRow.digest], set_=state)
    )


def last_good(session: Session, name: str) -> StoredPolicy | None:
    """Return the version of this policy that was last put in force anywhere."""
    # What decided before this was noted had been in force too.
    moment = func.coalesce(PolicyVersionRow.last_in_force_at, PolicyVersionRow.first_seen_at)
    columns = select(PolicyVersionRow.text, PolicyVersionRow.digest)
    row = session.execute(
        columns.where(PolicyVersionRow.name == name).order_by(moment.desc()).limit(1)
    ).one_or_none()
    return StoredPolicy(row.text, row.digest) if row else None


def starting_with(session: Session, prefix: str, limit: int) -> list[PolicyVersionRow]:
    """Return at most `limit` versions whose digest begins so, the newest first; `prefix` is hexadecimal."""
    query = select(PolicyVersionRow).where(PolicyVersionRow.digest.startswith(prefix, autoescape=True))
    return list(session.scalars(query.order_by(PolicyVersionRow.first_seen_at.desc()).limit(limit)))
