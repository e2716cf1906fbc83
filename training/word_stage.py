"""The second stage: distils the sentence model and the map into a small text tower."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention
from transformers import CLIPModel, CLIPTokenizer

from training.optimisers import Optimisers
from training.phrases import phrase_of
from training.schedule import Schedule
from training.tokenizer import CONTEXT

#: The share of phrases in a batch that name things of the world; the rest are other phrases.
WORLD_SHARE = 0.5
#: Scale of the logits in the contrastive loss.
SCALE = 30.0


class WordStage:
    """The text tower, its phrases and their targets."""

    def __init__(  # noqa: PLR0913, PLR0917 - all data of a stage
        self,
        model: CLIPModel,
        tokenizer: CLIPTokenizer,
        world_phrases: Sequence[str],
        world_targets: Tensor,
        other_phrases: Sequence[str],
        other_targets: Tensor,
        schedule: Schedule,
        seed: int,
    ) -> None:
        """Take phrases and their targets: unit vectors of the shared space, one row a phrase."""
        self.model, self.tokenizer, self.schedule = model, tokenizer, schedule
        self.step_number = 0
        self._phrases = [*world_phrases, *other_phrases]
        self._world = len(world_phrases)
        self._targets = torch.cat([world_targets, other_targets])
        self._random = random.Random(seed)
        self._optimisers = Optimisers(
            [model.text_model, model.text_projection], schedule.word_steps, rate=schedule.rate
        )

    def run(self) -> Iterator[dict[str, float]]:
        """Take all remaining steps; yield the losses of each."""
        self.model.train()
        while self.step_number < self.schedule.word_steps:
            yield self._step()
            self.step_number += 1

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint, including random states."""
        return {
            "model": self.model.state_dict(),
            "optimisers": self._optimisers.state(),
            "step": self.step_number,
            "random": (self._random.getstate(), torch.get_rng_state()),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint, with the same result as without an interruption."""
        self.model.load_state_dict(state["model"])
        self._optimisers.restore(state["optimisers"])
        self.step_number = state["step"]
        python_state, torch_state = state["random"]
        self._random.setstate(python_state)
        torch.set_rng_state(torch_state)

    def _step(self) -> dict[str, float]:
        chosen = self._choose()
        targets = self._targets[chosen]
        vectors = self._embed([phrase_of(self._phrases[n], self._random) for n in chosen])
        # Each phrase is drawn once: the same words in another template would be a false negative.
        choice = F.cross_entropy(SCALE * vectors @ targets.T, torch.arange(len(chosen)))
        distance = (1 - (vectors * targets).sum(1)).mean()
        self._optimisers.step(10 * distance + choice, self.step_number)
        return {"distance": float(distance.detach()), "choice": float(choice.detach())}

    def _choose(self) -> list[int]:
        """Return indexes of distinct phrases, half of them from the world."""
        world = min(int(self.schedule.word_batch * WORLD_SHARE), self._world)
        others = range(self._world, len(self._phrases))
        rest = min(self.schedule.word_batch - world, len(others))
        return self._random.sample(range(self._world), world) + self._random.sample(others, rest)

    def _embed(self, phrases: list[str]) -> Tensor:
        tokens = self.tokenizer(
            phrases, padding=True, truncation=True, max_length=CONTEXT, return_tensors="pt"
        )
        hidden = self.model.text_model(**tokens).pooler_output
        return F.normalize(self.model.text_projection(hidden), dim=-1)
