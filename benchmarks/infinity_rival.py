"""Run infinity as a rival: its engine in a child process, with the Python that INFINITY_PYTHON names.

It returns vectors; it compares and records nothing.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from bench import Bench

#: Python of a virtual environment with infinity-emb[torch,vision,server] and aiohttp.
INFINITY_PYTHON = os.environ.get("INFINITY_PYTHON", "")
THREADS = os.cpu_count() or 1


@dataclass
class InfinityRival:
    """A running infinity engine."""

    _process: subprocess.Popen[str]
    threads: str = f"{THREADS} of torch"

    def judge(self, files: Sequence[Path]) -> list[list[float]]:
        """Return the vectors of the pictures."""
        assert self._process.stdin is not None  # noqa: S101 - they are pipes
        assert self._process.stdout is not None  # noqa: S101
        print(json.dumps([str(file) for file in files]), file=self._process.stdin, flush=True)
        vectors: list[list[float]] = json.loads(self._process.stdout.readline())
        return vectors

    def ready(self) -> None:
        """Wait until the model is loaded; raise RuntimeError if the engine exits instead."""
        assert self._process.stdout is not None  # noqa: S101
        if self._process.stdout.readline() != '"ready"\n':
            raise RuntimeError("infinity does not start")

    def cosines(self, texts: torch.Tensor) -> Callable[[Sequence[Path]], list[list[float]]]:
        """Return a function from files to the cosines of their vectors with these phrases."""

        def compare(files: Sequence[Path]) -> list[list[float]]:
            vectors = torch.nn.functional.normalize(torch.tensor(self.judge(files)), dim=-1)
            return (vectors @ texts.T).tolist()

        return compare


@contextmanager
def infinity(bench: Bench) -> Iterator[InfinityRival]:
    """Run the engine with the benchmark's model."""
    script = Path(__file__).parent / "rivals" / "infinity_engine.py"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(THREADS)}
    log_file = bench.folder / "infinity.log"
    with (
        log_file.open("wb") as log,
        subprocess.Popen(
            [INFINITY_PYTHON, str(script), str(bench.model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            text=True,
        ) as process,
    ):
        rival = InfinityRival(process)
        try:
            rival.ready()
            yield rival
        finally:
            process.terminate()
