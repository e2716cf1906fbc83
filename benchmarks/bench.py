"""What all workers of a benchmark share: a Redis of their own, a model, labels, a folder."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orderly_exit import leave_in_order
from pictures import Supply
from random_model import save
from transformers.utils import logging as transformers_logging

from worker.demo.redis_server import running_redis


@dataclass(frozen=True)
class Bench:
    """Where a benchmark takes place."""

    folder: Path
    redis_url: str
    model: Path
    labels: list[str]

    @property
    def media(self) -> Path:
        """Where the pictures are."""
        return self.folder / "media"

    def supply(self) -> Supply:
        """Return what writes pictures there."""
        return Supply(self.media)

    def with_labels(self, number: int) -> "Bench":
        """Return the same place with so many labels."""
        return Bench(self.folder, self.redis_url, self.model, phrases(number))


@contextmanager
def open_bench(model: str, labels: int) -> Iterator[Bench]:
    """Yield a place with a random model of this name and so many labels; nothing of it stays."""
    _quiet()
    leave_in_order()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_redis(folder) as redis_url:
            yield Bench(folder, redis_url, save(model, folder / "model"), phrases(labels))


def phrases(number: int) -> list[str]:
    """Return so many labels."""
    return [f"a thing of kind {n}" for n in range(number)]


def _quiet() -> None:
    """Keep remarks and bars that say nothing about a figure from people's screens."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", message="Converting a tensor to a Python boolean")
    for name in ("", "torch.onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)
