"""The base of the rivals' tasks: application, labels, and a decision recorded by an ORM add and a commit.

RIVAL_BROKER, RIVAL_DATABASE, RIVAL_MODEL and RIVAL_LABELS (comma-separated) come from the environment.
"""

import json
import os
from functools import cache
from typing import Any

from celery import Celery
from sqlalchemy import Text, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = Celery("rival", broker=os.environ["RIVAL_BROKER"])
app.conf.update(
    task_acks_late=True, task_ignore_result=True, task_default_queue=os.environ.get("RIVAL_QUEUE", "rival")
)
LABELS = os.environ["RIVAL_LABELS"].split(",")


class Base(DeclarativeBase):
    """The rivals' tables."""


class Decision(Base):
    """One decision."""

    __tablename__ = "decisions"

    id: Mapped[str] = mapped_column(primary_key=True)
    action: Mapped[str]
    scores: Mapped[str] = mapped_column(Text)


@cache
def engine() -> Any:
    """Return the database engine of this child process."""
    made = create_engine(os.environ["RIVAL_DATABASE"], connect_args={"timeout": 30})
    Base.metadata.create_all(made)
    return made


def record(picture_id: str, scores: list[dict[str, Any]]) -> None:
    """Record the decision; the best score comes first."""
    action = "review" if scores[0]["score"] > 0.5 else "allow"
    with Session(engine()) as session:
        session.add(Decision(id=picture_id, action=action, scores=json.dumps(scores)))
        session.commit()
