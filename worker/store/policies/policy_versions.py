"""Policy versions: the text of every digest that a decision refers to, and when it was last in force."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from worker.domain.policies.policy import Policy
from worker.domain.policies.stored_policy import StoredPolicy
from worker.store.engine import inserting
from worker.store.engine.clock import database_now
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import LearnedStateRow, PolicyVersionRow
from worker.store.policies.learned_states import learned_thresholds


@dataclass(frozen=True, slots=True)
class NamedVersion:
    """A version, its policy's name, and when it was first seen; UTC."""

    name: str
    stored: StoredPolicy
    first_seen_at: datetime


def keep(session: Session, versions: Iterable[tuple[Policy, str]]) -> None:
    """Store the texts of these policies, except those whose digest is known."""
    rows = {
        policy.digest: {
            "digest": policy.digest,
            "name": policy.name,
            "text": text,
            "learned_digest": policy.learned or None,
        }
        for policy, text in versions
    }
    # In a fixed order, so that two workers that store the same versions never deadlock.
    inserting.keep(session, PolicyVersionRow, [rows[digest] for digest in sorted(rows)])


def find(session: Session, digest: str) -> StoredPolicy | None:
    """Return the version with this digest; None if it is unknown."""
    row = session.execute(_versions().where(PolicyVersionRow.digest == digest)).one_or_none()
    return _stored(row) if row else None


def in_force(session: Session, policy: Policy, text: str) -> None:
    """Record that a version was put in force now, and replace its text with the current one.

    Texts with the same digest mean the same, but one may be a shadow and the other not: after a restart the
    later one applies.
    """
    state = {"text": text, "last_in_force_at": database_now(session)}
    same = {"digest": policy.digest, "name": policy.name, "learned_digest": policy.learned or None}
    session.execute(
        insert_into(session, PolicyVersionRow, **same, **state).on_conflict_do_update(
            index_elements=[PolicyVersionRow.digest], set_=state
        )
    )


def last_good(session: Session, name: str) -> StoredPolicy | None:
    """Return the version of this policy that was last put in force anywhere."""
    # A version that decided before this column existed was in force too.
    moment = func.coalesce(PolicyVersionRow.last_in_force_at, PolicyVersionRow.first_seen_at)
    row = session.execute(
        _versions().where(PolicyVersionRow.name == name).order_by(moment.desc()).limit(1)
    ).one_or_none()
    return _stored(row) if row else None


def starting_with(session: Session, prefix: str, limit: int) -> list[NamedVersion]:
    """Return at most `limit` versions whose digest starts with hexadecimal `prefix`, newest first."""
    query = _versions().where(PolicyVersionRow.digest.startswith(prefix, autoescape=True))
    rows = session.execute(query.order_by(PolicyVersionRow.first_seen_at.desc()).limit(limit))
    return [NamedVersion(row.name, _stored(row), row.first_seen_at) for row in rows]


def _versions() -> Select[Any]:
    return select(
        PolicyVersionRow.name,
        PolicyVersionRow.text,
        PolicyVersionRow.digest,
        PolicyVersionRow.first_seen_at,
        LearnedStateRow.digest.label("learned_digest"),
        LearnedStateRow.thresholds,
    ).outerjoin(LearnedStateRow, LearnedStateRow.digest == PolicyVersionRow.learned_digest)


def _stored(row: Any) -> StoredPolicy:
    learned = learned_thresholds(row.learned_digest, row.thresholds) if row.learned_digest else None
    return StoredPolicy(row.text, row.digest, learned)
