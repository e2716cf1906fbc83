"""The environment that all workers of a benchmark share: a Redis, a model, labels, a temporary folder."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orderly_exit import leave_in_order
from pictures import Supply
from random_model import save
from transformers.utils import logging as transformers_logging

from worker.stage.redis_server import running_redis


@dataclass(frozen=True)
class Bench:
    """Environment of a benchmark."""

    folder: Path
    redis_url: str
    model: Path
    labels: list[str]

    @property
    def media(self) -> Path:
        """Folder of the pictures."""
        return self.folder / "media"

    def supply(self) -> Supply:
        """Return a source of new pictures in `media`."""
        return Supply(self.media)

    def with_labels(self, number: int) -> "Bench":
        """Return the same environment with this number of labels."""
        return Bench(self.folder, self.redis_url, self.model, phrases(number))


@contextmanager
def open_bench(model: str, labels: int) -> Iterator[Bench]:
    """Yield an environment with a random model of this name; remove it afterwards."""
    _quiet()
    leave_in_order()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_redis(folder) as redis_url:
            yield Bench(folder, redis_url, save(model, folder / "model"), phrases(labels))


def phrases(number: int) -> list[str]:
    """Return this number of labels."""
    return [f"a thing of kind {n}" for n in range(number)]


def _quiet() -> None:
    """Silence warnings and progress bars that do not concern the figures."""
    quieten: Iterable[Callable[[], None]] = (
        transformers_logging.set_verbosity_error,
        transformers_logging.disable_progress_bar,
    )
    for one in quieten:
        one()
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", message="Converting a tensor to a Python boolean")
    for name in ("", "torch.onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)
