"""The pipeline's task, improved by hand: it keeps the labels' vectors.

celery -A cached_task worker -P prefork -c 2 --prefetch-multiplier 1
"""

import os
from functools import cache
from typing import Any

from PIL import Image
from rival import LABELS, app, record


@cache
def tower() -> Any:
    """Return model and labels' vectors, loaded in the child that uses them: torch hangs after a fork."""
    import torch  # noqa: PLC0415
    from tower import Tower  # noqa: PLC0415

    torch.set_num_threads(int(os.environ.get("RIVAL_THREADS", "1")))
    return Tower(os.environ["RIVAL_MODEL"], LABELS)


@app.task(name="rival.moderate")
def moderate(picture_id: str, path: str) -> None:
    """Classify a picture and record the decision."""
    with Image.open(path) as picture:
        pixels = tower().processor(images=[picture.convert("RGB")], return_tensors="pt")["pixel_values"]
    logits = tower().logits(tower().encode(pixels))[0]
    ranked = sorted(zip(logits.softmax(dim=0).tolist(), LABELS, strict=True), reverse=True)
    record(picture_id, [{"score": score, "label": label} for score, label in ranked])
