"""Chooses the picture tower's precision: bfloat16 only if its vectors stay close to those of float32."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import torch
from PIL import Image

from worker.encoder.towers.device import dtype_for
from worker.encoder.towers.image_processor import ImageProcessor
from worker.encoder.towers.picture_tower import PictureTower
from worker.images.preprocessing import prepare

log = logging.getLogger(__name__)

#: The largest 1 - cosine between a picture's vectors in bfloat16 and in float32. Vision transformers are
#: below 0.0002 and change no decision; an EfficientNet (ALIGN) is at 0.03, and changed 42 decisions of 848.
MAX_DRIFT: Final = 0.001
#: Fixed, so that all workers on the same hardware choose the same precision.
_PROBES: Final = ("beach-umbrella.jpg", "bicycle.jpg", "castle.jpg", "kitchen-knife.jpg")
_PICTURES: Final = Path(__file__).parent / "probes"


def build_tower(
    build: Callable[[torch.dtype], PictureTower],
    precision: str,
    device: torch.device,
    processor: ImageProcessor,
) -> PictureTower:
    """Build the tower with `build` in the requested precision: float32, bfloat16 or auto.

    With `auto` on hardware that has bfloat16, a few built-in pictures are encoded in both; float32 is used
    if their vectors differ by more than MAX_DRIFT, or if the model fails in bfloat16.
    """
    dtype = dtype_for(precision, device)
    if precision != "auto" or dtype is torch.float32:
        return build(dtype)
    inputs = _probes(processor)
    try:
        exact = _vectors(build(torch.float32), inputs)
        tower = build(dtype)
        drift = float((1 - torch.nn.functional.cosine_similarity(exact, _vectors(tower, inputs))).max())
    except RuntimeError as problem:
        log.info("the model computes in float32: in bfloat16 it fails: %s", problem)
        return build(torch.float32)
    if drift <= MAX_DRIFT:
        log.info("the model computes in bfloat16: vectors of pictures differ from float32 by %.5f", drift)
        return tower
    log.info(
        "the model computes in float32: in bfloat16 vectors of pictures differ by %.5f (1 - cosine; at most "
        "%g is accepted)",
        drift,
        MAX_DRIFT,
    )
    return build(torch.float32)


def _probes(processor: ImageProcessor) -> Mapping[str, torch.Tensor]:
    pictures = []
    for name in _PROBES:
        with Image.open(_PICTURES / name) as picture:
            pictures.append(prepare(picture.convert("RGB"), processor.preprocessing))
    return processor.inputs(pictures)


def _vectors(tower: PictureTower, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    with torch.inference_mode():
        return tower(inputs).to(torch.float32)
