"""What people deploy: one Celery task a picture, around transformers' zero-shot pipeline.

celery -A pipeline_task worker -P prefork -c 2 --prefetch-multiplier 1
"""

import os
from functools import cache
from typing import Any

from PIL import Image
from rival import LABELS, app, record


@cache
def classifier() -> Any:
    """Return the pipeline, loaded in the child that uses it: torch hangs after a fork."""
    import torch  # noqa: PLC0415
    from transformers import pipeline  # noqa: PLC0415

    torch.set_num_threads(int(os.environ.get("RIVAL_THREADS", "1")))
    return pipeline("zero-shot-image-classification", os.environ["RIVAL_MODEL"], dtype=torch.float32)


@app.task(name="rival.moderate")
def moderate(picture_id: str, path: str) -> None:
    """Classify a picture and record the decision."""
    with Image.open(path) as picture:
        found = classifier()(picture.convert("RGB"), candidate_labels=LABELS, hypothesis_template="{}")
    record(picture_id, found)
