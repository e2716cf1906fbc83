"""Muon for the matrices inside the layers, AdamW for everything else, under one cosine schedule."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

MUON_RATE = 5e-3
ADAMW_RATE = 2e-3
WARM_UP_STEPS = 60
#: The rate at the end, as a share of the rate at the start.
LAST_SHARE = 0.02
CLIP_NORM = 5.0


class Optimisers:
    """All optimisers of one stage, stepped together over a fixed number of steps."""

    def __init__(
        self,
        modules: Iterable[nn.Module],
        steps: int,
        extra: Iterable[nn.Parameter] = (),
        rate: float = 1.0,
    ) -> None:
        """Scale all learning rates by `rate`, below 1 for a model that is trained already."""
        named = [pair for module in modules for pair in module.named_parameters()]
        matrices = [p for name, p in named if ".layers." in name and p.dim() == 2]
        taken = {id(p) for p in matrices}
        decayed = [p for name, p in named if id(p) not in taken and p.dim() >= 2 and "embedding" not in name]
        taken |= {id(p) for p in decayed}
        rest = [p for _, p in named if id(p) not in taken]
        self._parameters = [*matrices, *decayed, *rest, *extra]
        self._all: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(
                [{"params": decayed, "weight_decay": 0.05}, {"params": [*rest, *extra], "weight_decay": 0.0}],
                lr=ADAMW_RATE,
                betas=(0.9, 0.97),
            ),
        ]
        self._rates = (MUON_RATE * rate, ADAMW_RATE * rate)
        self._steps = steps

    def step(self, loss: torch.Tensor, number: int) -> None:
        """Take step `number`, counted from 0, along the gradient of `loss`."""
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, CLIP_NORM)
        share = self._share(number)
        for optimiser, rate in zip(self._all, self._rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * share
            optimiser.step()
            optimiser.zero_grad()

    def state(self) -> list[dict[str, Any]]:
        """Return the state for a checkpoint."""
        return [optimiser.state_dict() for optimiser in self._all]

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Resume from a checkpoint."""
        for optimiser, state in zip(self._all, states, strict=True):
            optimiser.load_state_dict(state)

    def _share(self, number: int) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * number / self._steps))
        return min(1.0, (number + 1) / WARM_UP_STEPS) * (cosine * (1 - LAST_SHARE) + LAST_SHARE)
