"""Makes an int8 copy of a model: its own files, and beside them its picture tower as OpenVINO computes it."""

import contextlib
import importlib
import io
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from worker.encoder.hub.model_layout import INT8_TOWER, files_of, first_line
from worker.encoder.towers.openvino_tower import OpenVinoTower, import_openvino, missing_package
from worker.encoder.towers.picture_tower import PictureTower, TorchTower
from worker.encoder.towers.transformers_encoder import TransformersEncoder, quiet
from worker.errors import ModelError, UsageError
from worker.images.preprocessing import Pixels

#: Its pictures (NaFlex) have many shapes, and its positions are made anew for each.
_NOT_EXPORTABLE: Final = frozenset({"siglip2"})
_EXTRA: Final = "int8"
#: How strongly outliers are moved from what a layer is given to its weights, from 0 to 1; negative: not at
#: all. What suits one model spoils another, so all are tried: of the bundled one, the strongest costs 0.009
#: of cosine.
_SMOOTHINGS: Final = (-1.0, 0.5, 0.95)
#: NNCF looks at every picture once for the range of each layer's numbers, and before that once to smooth.
_ROUNDS: Final = 2
#: Of the pictures, those that choose between these: on what a copy was made with, the worst looks best.
_CHOOSING: Final = 1 / 4
_LINKED: Final = ".safetensors"

#: Told how much is done, and of how much.
Progress = Callable[[int, int], None]


def check_installed() -> None:
    """Raise ModelError, at once, where an export would fail for want of a package."""
    for name, module in (("OpenVINO", "openvino"), ("NNCF", "nncf")):
        if find_spec(module) is None:
            raise missing_package(name, _EXTRA)


def check_exportable(encoder: TransformersEncoder) -> None:
    """Raise UsageError where the model is an exported one, ModelError where its family cannot be exported."""
    if not isinstance(encoder.tower, TorchTower):
        raise UsageError(
            f"the model {encoder.name!r} is in int8 already",
            hint="set MODERATION_MODEL to the model that it was made of",
        )
    if encoder.family in _NOT_EXPORTABLE:
        raise ModelError(
            f"models of the type {encoder.family} cannot be exported to int8",
            hint="those of the type siglip can, and MODERATION_PRECISION=bfloat16 works for this one",
        )


def write_int8_model(
    encoder: TransformersEncoder, pictures: Sequence[Pixels], folder: Path, progress: Progress
) -> None:
    """Write an int8 copy of the encoder's model into an empty folder.

    The ranges of its numbers come from `pictures`, prepared as the encoder takes them; on them is chosen
    between ways to quantise. ModelError where the tower cannot be converted.
    """
    openvino = import_openvino(_EXTRA)
    with _silent():
        tower = _converted(openvino, encoder)
        inputs = _Inputs(encoder, pictures, _counting(len(pictures), progress))
        best = _quantised(tower, inputs, _best_smoothing(tower, encoder, inputs))
        # What is not int8 stays float32: half of it would save one hundredth of the file.
        openvino.save_model(best, folder / INT8_TOWER[0], compress_to_fp16=False)
    for file in files_of(encoder.folder):
        _take_over(file, folder / file.name)


class _Tower(torch.nn.Module):
    """What is converted: pixels in, vectors out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        pooler = getattr(model.vision_model, "pooler", None)
        if isinstance(pooler, torch.nn.AvgPool2d):
            # ALIGN takes the mean of all places by a window larger than the picture, which OpenVINO refuses.
            model.vision_model.pooler = torch.nn.AdaptiveAvgPool2d(1)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self.model.get_image_features(pixel_values=pixel_values).pooler_output
        return vectors


def _converted(openvino: Any, encoder: TransformersEncoder) -> Any:
    width, height = encoder.preprocessing.final((1, 1))
    assert isinstance(encoder.tower, TorchTower)  # noqa: S101 - `check_exportable` has seen to it
    try:
        return openvino.convert_model(
            _Tower(encoder.tower.model).eval(),
            # Two pictures: of one, tracing takes the number for a constant.
            example_input=torch.zeros(2, 3, height, width),
            input=[(-1, 3, height, width)],
        )
    except Exception as problem:
        # A converter fails as it will.
        raise ModelError(
            f"the model {encoder.name!r} cannot be converted: {first_line(problem)}",
            hint="MODERATION_PRECISION=bfloat16 works for every model",
        ) from problem


def _best_smoothing(tower: Any, encoder: TransformersEncoder, inputs: "_Inputs") -> float:
    """Return the smoothing whose copy is nearest to the model on pictures that it was not made with."""
    making, unseen = inputs.split(_CHOOSING)
    precise = unseen.vectors(encoder.tower)

    def likeness(smoothing: float) -> float:
        copy = OpenVinoTower(_quantised(tower, making, smoothing))
        return float(torch.nn.functional.cosine_similarity(unseen.vectors(copy), precise).mean())

    return max(_SMOOTHINGS, key=likeness)


def _quantised(tower: Any, inputs: "_Inputs", smoothing: float) -> Any:
    nncf = importlib.import_module("nncf")
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf.quantize(
        tower.clone(),
        nncf.Dataset(inputs),
        # Leaves the softmax of attention and the normalisation alone.
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(inputs),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=smoothing),
            # It spares a bit of the first layer's weights for processors without int8 arithmetic, whose other
            # layers it leaves to overflow.
            overflow_fix=nncf.OverflowFix.DISABLE,
        ),
    )


def _counting(pictures: int, progress: Progress) -> Callable[[], None]:
    """Return what is called for each picture that NNCF looks at, and tells how far the work is."""
    total = round(_ROUNDS * pictures * (len(_SMOOTHINGS) * (1 - _CHOOSING) + 1))
    given = count(1)
    return lambda: progress(min(next(given), total), total)


class _Inputs:
    """The tower's inputs, picture by picture, as often as they are asked for."""

    def __init__(
        self, encoder: TransformersEncoder, pictures: Sequence[Pixels], given: Callable[[], None]
    ) -> None:
        self._encoder, self._pictures, self._given = encoder, pictures, given

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for picture in self._pictures:
            self._given()
            yield self._of(picture)["pixel_values"].numpy()

    def split(self, share: float) -> "tuple[_Inputs, _Inputs]":
        """Return all but a share of the pictures, and that share."""
        kept = len(self) - max(1, round(share * len(self)))
        first, rest = self._pictures[:kept], self._pictures[kept:]
        return _Inputs(self._encoder, first, self._given), _Inputs(self._encoder, rest, self._given)

    def vectors(self, tower: PictureTower) -> torch.Tensor:
        """Return what a tower makes of the pictures, shape (pictures, dimension)."""
        with torch.inference_mode():
            return torch.cat([tower(self._of(picture)) for picture in self._pictures])

    def _of(self, picture: Pixels) -> Mapping[str, torch.Tensor]:
        return self._encoder.image_processor.inputs([picture])


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep what the libraries print, and what they warn each other of, from people's screens."""
    logger_class = logging.getLoggerClass()
    with quiet(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            # NNCF makes its own class everybody's.
            logging.setLoggerClass(logger_class)


def _take_over(file: Path, to: Path) -> None:
    """Link weights, which nobody edits, where the file system can; copy what is small."""
    if file.suffix == _LINKED:
        with contextlib.suppress(OSError):
            os.link(file.resolve(), to)
            return
    shutil.copyfile(file, to)
