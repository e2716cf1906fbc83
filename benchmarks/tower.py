"""The model in this process, with labels encoded once: its picture tower alone, and a loop around it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForZeroShotImageClassification, AutoTokenizer

BATCH = 32


@dataclass
class Tower:
    """The model, loaded with transformers."""

    folder: Path | str
    labels: list[str]
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        self.model = AutoModelForZeroShotImageClassification.from_pretrained(self.folder, dtype=torch.float32)
        load: Callable[..., Any] = AutoImageProcessor.from_pretrained
        self.processor = load(self.folder, backend="pil")
        self.side = self.model.config.vision_config.image_size
        self.texts = _texts(self.model, self.folder, self.labels)
        self.model.to(self.dtype).eval()

    @cached_property
    def noise(self) -> torch.Tensor:
        """A batch of random prepared pictures, made before the clock starts."""
        torch.manual_seed(20)
        return torch.randn(BATCH, 3, self.side, self.side, dtype=self.dtype)

    def alone(self, files: Sequence[Path]) -> None:
        """Encode one noise picture for each file; no file is read."""
        for batch in batches(files):
            self.encode(self.noise[: len(batch)])

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the unit vectors of prepared pictures."""
        with torch.inference_mode():
            return _unit(self.model.get_image_features(pixel_values=pixels).pooler_output.float())

    def logits(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the logits of the labels, input of a softmax."""
        scale: torch.Tensor = self.model.logit_scale.detach().float().exp()
        return vectors @ self.texts.T * scale

    def loop(self, files: Sequence[Path]) -> list[list[float]]:
        """Judge batch after batch as by hand, and record nothing; return each picture's cosines."""
        found: list[list[float]] = []
        for batch in batches(files):
            opened = [Image.open(one).convert("RGB") for one in batch]
            pixels = self.processor(images=opened, return_tensors="pt")["pixel_values"].to(self.dtype)
            found += (self.encode(pixels) @ self.texts.T).tolist()
        return found


def batches(files: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield the files in batches."""
    for start in range(0, len(files), BATCH):
        yield files[start : start + BATCH]


def _texts(model: Any, folder: Path | str, labels: list[str]) -> torch.Tensor:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # SigLIP was trained on phrases padded to its window, so encoding them for every picture is slow.
    padding = "max_length" if model.config.model_type.startswith("siglip") else True
    tokens = tokenizer(labels, padding=padding, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        return _unit(model.get_text_features(**tokens).pooler_output)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)
