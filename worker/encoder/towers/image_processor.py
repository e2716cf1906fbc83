"""Describes an image processor of transformers as data, and verifies the description against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import torch
from PIL import Image

from worker.errors import ModelError
from worker.images.preprocessing import Pixels, Preprocessing, prepare

#: Sizes of test pictures: wide, tall, smaller than any model's input, odd.
_TEST_SIZES: Final = ((640, 480), (300, 517), (40, 30), (225, 223))
#: Largest difference of model inputs, which are about 1.
_TOLERANCE: Final = 1e-4
_RESIZING: Final = ({"height", "width"}, {"shortest_edge"})


@dataclass(frozen=True)
class ImageProcessor:
    """A processor in two parts: `preprocessing` runs in a decoding process, `inputs` in the model's."""

    preprocessing: Preprocessing
    #: The model's input is `pixel * factor + offset`; shape (3,), float32.
    factor: torch.Tensor
    offset: torch.Tensor

    @classmethod
    def describe(cls, processor: Any, name: str) -> Self:
        """Describe the processor of the model `name`; ModelError if it cannot be reproduced."""
        try:
            described = cls(_preprocessing(processor), *_arithmetic(processor))
            differing = max(_difference(described, processor, size) for size in _TEST_SIZES)
        except Exception as problem:
            # A configuration may hold anything, and the processor may raise anything.
            raise _unsupported(processor, name, f"it cannot be described: {problem}") from problem
        if not differing <= _TOLERANCE:
            raise _unsupported(processor, name, f"its results differ from ours by {differing:.3g}")
        return described

    def inputs(self, pictures: Sequence[Pixels]) -> Mapping[str, torch.Tensor]:
        """Return the model's inputs for pictures that were prepared by `preprocessing`."""
        if self.preprocessing.max_patches:
            return self._patches(pictures)
        pixels = torch.from_numpy(np.stack(pictures)).to(torch.float32)
        return {"pixel_values": (pixels * self.factor + self.offset).permute(0, 3, 1, 2).contiguous()}

    def _patches(self, pictures: Sequence[Pixels]) -> Mapping[str, torch.Tensor]:
        """Cut pictures into rows of patches, padded with empty rows to the model's number."""
        side, count = self.preprocessing.patch_side, self.preprocessing.max_patches
        values = torch.zeros(len(pictures), count, side * side * 3)
        mask = torch.zeros(len(pictures), count, dtype=torch.int32)
        shapes = [(len(picture) // side, picture.shape[1] // side) for picture in pictures]
        for number, (picture, (rows, columns)) in enumerate(zip(pictures, shapes, strict=True)):
            pixels = torch.tensor(picture).to(torch.float32) * self.factor + self.offset
            patches = pixels.reshape(rows, side, columns, side, 3).permute(0, 2, 1, 3, 4)
            values[number, : rows * columns] = patches.reshape(rows * columns, -1)
            mask[number, : rows * columns] = 1
        return {
            "pixel_values": values,
            "pixel_attention_mask": mask,
            "spatial_shapes": torch.tensor(shapes),
        }


def _preprocessing(processor: Any) -> Preprocessing:
    if getattr(processor, "max_num_patches", None):
        return Preprocessing(
            int(processor.resample),
            patch_side=processor.patch_size,
            max_patches=processor.max_num_patches,
        )
    resize = _defined(processor.size) if processor.do_resize else {}
    crop = _defined(processor.crop_size) if processor.do_center_crop else {}
    if resize and resize.keys() not in _RESIZING:
        raise ValueError(f"it resizes by {', '.join(sorted(resize))}")
    if not crop and "width" not in resize:
        raise ValueError("its pictures have no fixed size")
    return Preprocessing(
        int(processor.resample),
        **resize,
        crop_width=crop.get("width", 0),
        crop_height=crop.get("height", 0),
    )


def _defined(size: Any) -> dict[str, int]:
    return {key: int(value) for key, value in dict(size).items() if value is not None}


def _arithmetic(processor: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the factor and offset of rescaling and normalising combined."""
    factor = np.full(3, processor.rescale_factor if processor.do_rescale else 1.0)
    # `rescale_offset` and `include_top` are of EfficientNet's processor, which ALIGN uses.
    offset = np.full(3, -1.0 if getattr(processor, "rescale_offset", False) else 0.0)
    if processor.do_normalize:
        mean, std = np.array(processor.image_mean), np.array(processor.image_std)
        factor, offset = factor / std, (offset - mean) / std
    if getattr(processor, "include_top", False):
        factor, offset = factor / np.array(processor.image_std), offset / np.array(processor.image_std)
    return torch.tensor(factor, dtype=torch.float32), torch.tensor(offset, dtype=torch.float32)


def _difference(ours: ImageProcessor, processor: Any, size: tuple[int, int]) -> float:
    """Return the largest difference of our inputs from the processor's; infinity if shapes differ."""
    image = Image.effect_mandelbrot(size, (-2, -1.2, 1, 1.2), 100).convert("L")
    image = Image.merge("RGB", (image, image.rotate(90), image.rotate(180)))
    inputs = ours.inputs([prepare(image, ours.preprocessing)])
    theirs = processor(images=[image], return_tensors="pt")
    if inputs.keys() != set(theirs) or any(inputs[key].shape != theirs[key].shape for key in inputs):
        return float("inf")
    return max(float((inputs[key] - theirs[key]).abs().max()) for key in inputs)


def _unsupported(processor: Any, name: str, why: str) -> ModelError:
    return ModelError(
        f"the model {name!r} prepares pictures in a way that is not reproduced here "
        f"({type(processor).__name__}): {why}",
        hint="supported are resizing, centre cropping, rescaling, normalising and SigLIP 2's patches",
    )
