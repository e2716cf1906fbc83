"""What people deploy: a Celery task a picture around transformers' zero-shot pipeline, an ORM add, a commit.

    celery -A pipeline_task worker -P prefork -c 2 --prefetch-multiplier 1

RIVAL_BROKER, RIVAL_DATABASE, RIVAL_MODEL and RIVAL_LABELS (with commas between) come from the environment.
"""

import json
import os
from functools import cache
from typing import Any

from celery import Celery
from PIL import Image
from sqlalchemy import Text, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = Celery("rival", broker=os.environ["RIVAL_BROKER"])
app.conf.update(task_acks_late=True, task_ignore_result=True, task_default_queue="rival")
LABELS = os.environ["RIVAL_LABELS"].split(",")


class Base(DeclarativeBase):
    """The rival's tables."""


class Decision(Base):
    """One decision a row."""

    __tablename__ = "decisions"

    id: Mapped[str] = mapped_column(primary_key=True)
    action: Mapped[str]
    scores: Mapped[str] = mapped_column(Text)


@cache
def classifier() -> Any:
    """Return the pipeline, loaded in the child that uses it: a forked torch hangs."""
    import torch  # noqa: PLC0415
    from transformers import pipeline  # noqa: PLC0415

    torch.set_num_threads(int(os.environ.get("RIVAL_THREADS", "1")))
    return pipeline("zero-shot-image-classification", os.environ["RIVAL_MODEL"], dtype=torch.float32)


@cache
def engine() -> Any:
    """Return the engine of this child."""
    made = create_engine(os.environ["RIVAL_DATABASE"], connect_args={"timeout": 30})
    Base.metadata.create_all(made)
    return made


@app.task(name="rival.moderate")
def moderate(picture_id: str, path: str) -> None:
    """Classify a picture and record the decision."""
    with Image.open(path) as picture:
        scores = classifier()(picture.convert("RGB"), candidate_labels=LABELS)
    action = "review" if scores[0]["score"] > 0.5 else "allow"
    with Session(engine()) as session:
        session.add(Decision(id=picture_id, action=action, scores=json.dumps(scores)))
        session.commit()
