"""Checkpoints: an interrupted training resumes, with the same result."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from tqdm import tqdm

SAVE_EVERY_STEPS = 200
_REPORT_EVERY_STEPS = 20


class Stage(Protocol):
    """A part of the training that can stop and resume."""

    step_number: int

    def run(self) -> Iterator[dict[str, float]]:
        """Take all remaining steps; yield the losses of each."""

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state."""


def run_stage(stage: Stage, steps: int, file: Path, name: str) -> None:
    """Run a stage to its end with a progress bar; resume from its checkpoint `file` if it exists."""
    if file.is_file():
        stage.restore(torch.load(file, weights_only=False))
    with tqdm(total=steps, initial=stage.step_number, desc=name, unit="step", mininterval=5) as progress:
        for losses in stage.run():
            progress.update()
            done = stage.step_number + 1
            if done % _REPORT_EVERY_STEPS == 0:
                progress.set_postfix_str(" ".join(f"{key} {value:.3f}" for key, value in losses.items()))
            if done % SAVE_EVERY_STEPS == 0 or done == steps:
                _save(stage, file)


def _save(stage: Stage, file: Path) -> None:
    """Replace the checkpoint atomically: an interruption leaves the previous one."""
    # Count the step just taken: the stage increments its number only after the yield.
    state = stage.state() | {"step": stage.step_number + 1}
    partial = file.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(file)
