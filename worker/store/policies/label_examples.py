"""Label examples: pictures that people chose as examples of a label, for the next proposal to learn from."""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from worker.store.engine import inserting
from worker.store.engine.clock import database_now
from worker.store.engine.tables import LabelExampleRow


def add(session: Session, policy: str, label: str, sha256: str, author: str) -> None:
    """Choose a picture as an example of a label; nothing happens if it is one already."""
    row = {"policy": policy, "label": label, "sha256": sha256, "author": author}
    inserting.keep(session, LabelExampleRow, [row | {"created_at": database_now(session)}])


def remove(session: Session, policy: str, label: str, sha256: str) -> None:
    """Choose a picture no longer as an example of a label."""
    session.execute(
        delete(LabelExampleRow).where(
            LabelExampleRow.policy == policy,
            LabelExampleRow.label == label,
            LabelExampleRow.sha256 == sha256,
        )
    )


def of_policy(session: Session, policy: str) -> dict[str, list[str]]:
    """Return the chosen pictures of each label, oldest first, by the label's name."""
    query = select(LabelExampleRow.label, LabelExampleRow.sha256).where(LabelExampleRow.policy == policy)
    found: dict[str, list[str]] = {}
    for label, sha256 in session.execute(query.order_by(LabelExampleRow.created_at, LabelExampleRow.sha256)):
        found.setdefault(label, []).append(sha256)
    return found


def labels_of(session: Session, policy: str, sha256: str) -> list[str]:
    """Return the labels of which a picture is an example."""
    query = select(LabelExampleRow.label).where(
        LabelExampleRow.policy == policy, LabelExampleRow.sha256 == sha256
    )
    return list(session.scalars(query.order_by(LabelExampleRow.label)))
