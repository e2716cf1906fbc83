"""Exports an int8 copy of a model: its files, and its picture tower quantised for OpenVINO."""

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

#: Its pictures (NaFlex) have many shapes, and position embeddings are resized for each.
_NOT_EXPORTABLE: Final = frozenset({"siglip2"})
_EXTRA: Final = "int8"
#: Strengths of SmoothQuant, which moves outliers from a layer's activations to its weights, from 0 to 1;
#: negative: off. The best value depends on the model, so all are tried: with the bundled one, the strongest
#: costs 0.009 of cosine.
_SMOOTHINGS: Final = (-1.0, 0.5, 0.95)
#: NNCF passes over the pictures once for smoothing, and once for the range of each layer's activations.
_ROUNDS: Final = 2
#: Share of pictures held out to choose between the strengths: on calibration pictures the worst looks best.
_HELD_OUT: Final = 1 / 4
_LINKED: Final = ".safetensors"

#: Called with the work done and the total.
Progress = Callable[[int, int], None]


def check_installed() -> None:
    """Raise ModelError at once if a package that the export needs is not installed."""
    for name, module in (("OpenVINO", "openvino"), ("NNCF", "nncf")):
        if find_spec(module) is None:
            raise missing_package(name, _EXTRA)


def check_exportable(encoder: TransformersEncoder) -> None:
    """Raise UsageError if the model is an exported one, ModelError if its family cannot be exported."""
    if not isinstance(encoder.tower, TorchTower):
        raise UsageError(
            f"the model {encoder.name!r} is in int8 already",
            hint="set MODERATION_MODEL to the model that it was exported from",
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

    `pictures`, prepared for the encoder, calibrate the ranges of activations and choose the strength of
    smoothing. ModelError if the tower cannot be converted.
    """
    openvino = import_openvino(_EXTRA)
    with _silent():
        tower = _converted(openvino, encoder)
        inputs = _Inputs(encoder, pictures, _counting(len(pictures), progress))
        best = _quantised(tower, inputs, _best_smoothing(tower, encoder, inputs))
        # What is not int8 stays float32: float16 would save one hundredth of the file.
        openvino.save_model(best, folder / INT8_TOWER[0], compress_to_fp16=False)
    for file in files_of(encoder.folder):
        _link_or_copy(file, folder / file.name)


class _Tower(torch.nn.Module):
    """The module to convert: pixels in, vectors out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        pooler = getattr(model.vision_model, "pooler", None)
        if isinstance(pooler, torch.nn.AvgPool2d):
            # ALIGN averages over all positions with a window larger than the picture, which OpenVINO refuses.
            model.vision_model.pooler = torch.nn.AdaptiveAvgPool2d(1)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self.model.get_image_features(pixel_values=pixel_values).pooler_output
        return vectors


def _converted(openvino: Any, encoder: TransformersEncoder) -> Any:
    width, height = encoder.preprocessing.final((1, 1))
    assert isinstance(encoder.tower, TorchTower)  # noqa: S101 - ensured by `check_exportable`
    try:
        return openvino.convert_model(
            _Tower(encoder.tower.model).eval(),
            # Two pictures: with one, tracing would make the batch size a constant.
            example_input=torch.zeros(2, 3, height, width),
            input=[(-1, 3, height, width)],
        )
    except Exception as problem:
        # The converter may raise anything.
        raise ModelError(
            f"the model {encoder.name!r} cannot be converted: {first_line(problem)}",
            hint="MODERATION_PRECISION=bfloat16 works for every model",
        ) from problem


def _best_smoothing(tower: Any, encoder: TransformersEncoder, inputs: "_Inputs") -> float:
    """Return the smoothing whose copy is nearest to the model on held-out pictures."""
    calibration, held_out = inputs.split(_HELD_OUT)
    precise = held_out.vectors(encoder.tower)

    def similarity(smoothing: float) -> float:
        copy = OpenVinoTower(_quantised(tower, calibration, smoothing))
        return float(torch.nn.functional.cosine_similarity(held_out.vectors(copy), precise).mean())

    return max(_SMOOTHINGS, key=similarity)


def _quantised(tower: Any, inputs: "_Inputs", smoothing: float) -> Any:
    nncf = importlib.import_module("nncf")
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf.quantize(
        tower.clone(),
        nncf.Dataset(inputs),
        # Does not quantise the softmax of attention and the normalisation.
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(inputs),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=smoothing),
            # The fix takes a bit of the first layer's weights on processors without int8 arithmetic, and
            # leaves the other layers to overflow.
            overflow_fix=nncf.OverflowFix.DISABLE,
        ),
    )


def _counting(pictures: int, progress: Progress) -> Callable[[], None]:
    """Return a callback that counts the pictures read by NNCF and reports progress."""
    total = round(_ROUNDS * pictures * (len(_SMOOTHINGS) * (1 - _HELD_OUT) + 1))
    numbers = count(1)
    return lambda: progress(min(next(numbers), total), total)


class _Inputs:
    """The tower's inputs, one picture at a time; can be iterated repeatedly."""

    def __init__(
        self, encoder: TransformersEncoder, pictures: Sequence[Pixels], on_read: Callable[[], None]
    ) -> None:
        self._encoder, self._pictures, self._on_read = encoder, pictures, on_read

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for picture in self._pictures:
            self._on_read()
            yield self._of(picture)["pixel_values"].numpy()

    def split(self, share: float) -> "tuple[_Inputs, _Inputs]":
        """Split off a share of the pictures: return the others, then that share."""
        kept = len(self) - max(1, round(share * len(self)))
        first, rest = self._pictures[:kept], self._pictures[kept:]
        return _Inputs(self._encoder, first, self._on_read), _Inputs(self._encoder, rest, self._on_read)

    def vectors(self, tower: PictureTower) -> torch.Tensor:
        """Return a tower's vectors of the pictures, shape (pictures, dimension)."""
        with torch.inference_mode():
            return torch.cat([tower(self._of(picture)) for picture in self._pictures])

    def _of(self, picture: Pixels) -> Mapping[str, torch.Tensor]:
        return self._encoder.image_processor.inputs([picture])


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Silence output and warnings of the libraries."""
    logger_class = logging.getLoggerClass()
    with quiet(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            # NNCF replaces the logger class globally.
            logging.setLoggerClass(logger_class)


def _link_or_copy(file: Path, to: Path) -> None:
    """Link weights, which are never edited, if the file system can; copy small files."""
    if file.suffix == _LINKED:
        with contextlib.suppress(OSError):
            os.link(file.resolve(), to)
            return
    shutil.copyfile(file, to)
