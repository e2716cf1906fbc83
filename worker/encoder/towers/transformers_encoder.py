"""Encodes pictures and phrases with a zero-shot image model in the format of transformers."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from transformers import AutoImageProcessor, AutoModelForZeroShotImageClassification
from transformers.utils import logging

from worker.domain.moderation.scoring import Matrix
from worker.encoder.hub import model_files
from worker.encoder.hub.model_layout import first_line
from worker.encoder.protocol import ModelInfo
from worker.encoder.towers.device import device_for
from worker.encoder.towers.image_processor import ImageProcessor
from worker.encoder.towers.openvino_tower import OpenVinoTower, import_openvino
from worker.encoder.towers.picture_tower import CPU, PictureTower, TorchTower, halves
from worker.encoder.towers.precision import build_tower
from worker.encoder.towers.text_tower import TextTower
from worker.encoder.towers.tokenizer import PAIRWISE, load_tokenizer
from worker.errors import ModelError
from worker.images.preprocessing import Pixels

#: Their text tower is RoBERTa's, whose positions start after the id of the padding token.
_PADDING_BEFORE_POSITIONS: Final = frozenset({"altclip"})
#: Far above trained values, a few hundred at most; a larger one makes every score 0 or 1.
_MAX_SCALE: Final = 1e6
#: SigLIP was trained on phrases padded to this many tokens.
_SIGLIP_TOKENS: Final = 64

_OFFLINE: Final[Mapping[str, Any]] = {"local_files_only": True, "trust_remote_code": False}


class TransformersEncoder:
    """A model in memory. Safe to call from many threads; phrases are encoded by one thread at a time.

    The picture tower has the requested precision, or int8 if the model was exported.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of a model
        self,
        name: str,
        folder: Path,
        model: Any,
        tower: PictureTower,
        image_processor: ImageProcessor,
        tokenizer: Any,
    ) -> None:
        """Assemble an encoder from the text half `model`, the picture tower, and their preprocessors."""
        self.folder, self.tower, self.image_processor = folder, tower, image_processor
        self.files = files = model_files.digest(folder)
        self.family = model.config.model_type
        pairwise = self.family in PAIRWISE
        window = _text_window(model, tokenizer, pairwise=pairwise)
        self.texts = TextTower(
            model,
            tokenizer,
            lambda: _reload_text_half(folder, name, files),
            window=window,
            padding="max_length" if pairwise else True,
        )
        self.info = ModelInfo(
            name=name,
            digest=_digest(files, tower.dtype),
            precision=str(tower.dtype).removeprefix("torch."),
            scale=_scale(model, name),
            bias=_bias(model),
            pairwise=pairwise,
            dimension=_check_towers(self, name),
            window=window,
            preprocessing=image_processor.preprocessing,
        )

    @classmethod
    def load(
        cls,
        name: str,
        *,
        threads: int = 0,
        precision: str = "float32",
        passes: int = 1,
        device: str = "cpu",
    ) -> Self:
        """Load the model `name`: `demo`, a folder, or a hub id `org/name@revision`.

        Only safetensors are loaded, and the tower that `moderate model export` added; code from the model
        is never run. `threads` > 0 limits the threads of one pass, `passes` is the number of concurrent
        passes; `precision` is float32, bfloat16 or auto (bfloat16 if the hardware has it and vectors stay
        nearly the same), `device` cpu, cuda, mps or auto. SettingsError if there is no such device,
        ModelError if the model is unavailable or not a zero-shot image model.
        """
        folder = model_files.find(name)
        if threads > 0:
            torch.set_num_threads(threads)
        exported = model_files.int8_tower(folder)
        accelerator = CPU if exported else device_for(device)
        if exported:
            # Fail before the model is loaded.
            import_openvino()
        with quiet():
            model, image_processor, tokenizer = _load(folder, name)
            picture_half, text_half = halves(model)
            processor = ImageProcessor.describe(image_processor, name)

            def build(dtype: torch.dtype) -> PictureTower:
                if exported:
                    return OpenVinoTower(exported, dtype, passes=passes, threads=threads)
                return TorchTower(_in_float32(picture_half, folder, name), dtype, accelerator)

            tower = build_tower(build, precision, accelerator, processor)
            return cls(name, folder, text_half, tower, processor, tokenizer)

    @property
    def digests(self) -> tuple[str, ...]:
        """The digests of the same files in every precision; that of `info` is among them."""
        return tuple(_digest(self.files, dtype) for dtype in (torch.float32, torch.bfloat16))

    def encode_images(self, images: Sequence[Pixels]) -> Matrix:
        """Return unit vectors of pictures prepared by `preprocessing`, shape (images, dimension), float32."""
        if not len(images):
            return np.empty((0, self.info.dimension), np.float32)
        with torch.inference_mode():
            return _unit(self.tower(self.image_processor.inputs(images)).to(torch.float32).numpy())

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors of phrases, shape (texts, dimension), float32.

        Tokenised as in transformers' zero-shot pipeline. A phrase beyond the model's window (CLIP 77 tokens,
        SigLIP 64) is truncated; the pipeline fails for CLIP.
        """
        if not texts:
            return np.empty((0, self.info.dimension), np.float32)
        return _unit(self.texts(texts))

    def encode_captions(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors of submissions' texts, as `encode_texts` does."""
        return self.encode_texts(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, special tokens included, before anything is cut off."""
        return self.texts.count_tokens(texts) if texts else []

    def pieces(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the tokens of each text as strings (pieces), without special tokens.

        A piece is empty if it stands for no readable text: an unknown word, part of a character.
        """
        return self.texts.pieces(texts) if texts else []

    def vocabulary(self) -> frozenset[str]:
        """Return the words that are one piece; empty if the pieces do not say where words end."""
        return self.texts.vocabulary()


def _load(folder: Path, name: str) -> tuple[Any, Any, Any]:
    """Return model, image processor and tokenizer."""
    try:
        model, report = AutoModelForZeroShotImageClassification.from_pretrained(
            folder,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **_OFFLINE,
        )
        # The Pillow backend even if torchvision is installed, for the same vectors on every machine.
        image_processor = AutoImageProcessor.from_pretrained(folder, backend="pil", **_OFFLINE)
        tokenizer = load_tokenizer(folder, name, model.config, **_OFFLINE)
    except ModelError:
        raise
    except ImportError as problem:
        raise ModelError(
            f"the model {name!r} needs a package that is not installed: {first_line(problem)}",
            hint="pip install moderation-worker",
        ) from problem
    except Exception as problem:
        # For broken files transformers passes on any error of the libraries below it.
        raise ModelError(
            f"the model {name!r} cannot be loaded: {first_line(problem)}",
            hint="copy the model's files again",
        ) from problem
    _check_complete(report, name)
    _check_finite(model, name)
    model.requires_grad_(requires_grad=False)
    return model, image_processor, tokenizer


def _reload_text_half(folder: Path, name: str, files: str) -> Any:
    """Load the text half again; ModelError if the digest of the files is no longer `files`."""
    if model_files.digest(folder) != files:
        raise ModelError(
            f"the files of the model {name!r} have changed since this process loaded them",
            hint="restart it; until then it cannot encode new phrases",
        )
    with quiet():
        model, *_ = _load(folder, name)
    return halves(model)[1]


def _in_float32(picture_half: Any, folder: Path, name: str) -> Any:
    """Return the picture half in float32, loaded again if its weights were rounded to bfloat16."""
    if any(weight.dtype is not torch.float32 for weight in picture_half.parameters()):
        return halves(_load(folder, name)[0])[0]
    return picture_half


def _digest(files: str, dtype: torch.dtype) -> str:
    """Return a digest of files and precision, so that vectors of two precisions never mix."""
    if dtype is torch.float32:
        return files
    return hashlib.sha256(f"{files}\n{dtype}".encode()).hexdigest()


def _check_complete(report: dict[str, Any], name: str) -> None:
    """Raise ModelError for missing weights, which transformers would initialise at random."""
    missing, misshapen = sorted(report["missing_keys"]), sorted(key for key, *_ in report["mismatched_keys"])
    if missing or misshapen:
        raise ModelError(
            f"the weights of the model {name!r} do not fit its configuration: {len(missing)} are missing and "
            f"{len(misshapen)} have another shape, such as {[*missing, *misshapen][0]}",
            hint="the model is incomplete, or was made for something else than zero-shot classification",
        )


def _check_finite(model: Any, name: str) -> None:
    """Raise ModelError for weights that are not finite: one can spoil the vectors of only some pictures."""
    for key, weight in model.state_dict().items():
        if weight.is_floating_point() and not _is_finite(weight):
            raise ModelError(
                f"the weights of the model {name!r} are damaged: {key} has values that are not finite",
                hint="copy the model's files again; if they are the author's, choose another model",
            )


def _is_finite(weight: torch.Tensor) -> bool:
    # Minimum and maximum in one pass over the memory; a NaN makes both NaN.
    return not weight.numel() or bool(torch.stack(weight.aminmax()).isfinite().all())


def _check_towers(encoder: TransformersEncoder, name: str) -> int:
    """Run both towers once and return the length of their vectors."""
    try:
        width, height = encoder.image_processor.preprocessing.final((64, 48))
        picture = encoder.encode_images([np.full((height, width, 3), 128, np.uint8)])
        text = encoder.encode_texts(["a picture"])
    except Exception as problem:
        raise ModelError(
            f"the model {name!r} fails at its first picture or phrase: {first_line(problem)}",
            hint="its configuration, processor or tokenizer do not fit its weights",
        ) from problem
    if picture.shape != text.shape or not np.isfinite(picture).all() or not np.isfinite(text).all():
        raise ModelError(
            f"the model {name!r} gives no comparable vectors for pictures and phrases",
            hint="its weights are damaged, or were made for something else",
        )
    return int(picture.shape[1])


def _scale(model: Any, name: str) -> float:
    """Return the factor on cosines: CLIP stores its logarithm, ALIGN its inverse."""
    stored = "logit_scale" if hasattr(model, "logit_scale") else "temperature"
    value = getattr(model, stored).item()
    try:
        scale = math.exp(value) if stored == "logit_scale" else 1 / value
    except (OverflowError, ZeroDivisionError):
        scale = math.inf
    if not 0 < scale <= _MAX_SCALE:
        raise ModelError(
            f"the model {name!r} has a {stored} of {value:g}, with which no score can be computed",
            hint="its weights are damaged; copy the model's files again",
        )
    return scale


def _bias(model: Any) -> float:
    return model.logit_bias.item() if hasattr(model, "logit_bias") else 0.0


def _text_window(model: Any, tokenizer: Any, *, pairwise: bool) -> int:
    """Return the number of tokens that the text tower has positions for.

    The tokenizer's maximum is not enough: if its authors set none, it is 10^30.
    """
    text = model.config.text_config
    positions = text.max_position_embeddings
    if model.config.model_type in _PADDING_BEFORE_POSITIONS:
        positions -= text.pad_token_id + 1
    window = min(tokenizer.model_max_length, positions)
    return min(window, _SIGLIP_TOKENS) if pairwise else window


def _unit(vectors: Matrix) -> Matrix:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the messages and progress bars of transformers."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
