"""The second stage: a small text tower learns to say what the sentence model and the map would."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention
from transformers import CLIPModel, CLIPTokenizer

from training.optimisers import Optimisers
from training.phrases import say
from training.schedule import Schedule
from training.tokenizer import CONTEXT

#: The share of each batch that names what can be on a picture; the rest is other phrases.
WORLD_SHARE = 0.5
#: Sharpness of the choice among the phrases of a batch.
SCALE = 30.0


class WordStage:
    """The text tower, its phrases and their targets."""

    def __init__(  # noqa: PLR0913, PLR0917 - a stage brings its material together
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
        """Take every step that is left; yield the losses of each."""
        self.model.train()
        while self.step_number < self.schedule.word_steps:
            yield self._step()
            self.step_number += 1

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, random numbers included."""
        return {
            "model": self.model.state_dict(),
            "optimisers": self._optimisers.state(),
            "step": self.step_number,
            "random": (self._random.getstate(), torch.get_rng_state()),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint, as if never interrupted."""
        self.model.load_state_dict(state["model"])
        self._optimisers.restore(state["optimisers"])
        self.step_number = state["step"]
        own, torch_state = state["random"]
        self._random.setstate(own)
        torch.set_rng_state(torch_state)

    def _step(self) -> dict[str, float]:
        chosen = self._choose()
        targets = self._targets[chosen]
        said = self._embed([say(self._phrases[n], self._random) for n in chosen])
        # The same thing by the same words in another template is not a wrong answer, and none is drawn twice.
        choice = F.cross_entropy(SCALE * said @ targets.T, torch.arange(len(chosen)))
        distance = (1 - (said * targets).sum(1)).mean()
        self._optimisers.step(10 * distance + choice, self.step_number)
        return {"distance": float(distance.detach()), "choice": float(choice.detach())}

    def _choose(self) -> list[int]:
        """Return distinct phrases' numbers, half of them from the world."""
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
