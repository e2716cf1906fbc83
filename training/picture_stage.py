"""The first stage: trains the picture tower to match the mapped vectors of the sentence model."""

import math
import random
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention
from transformers import CLIPModel

from training.earlier_model import fit
from training.losses import against_neutral, multi_positive, nothing_there, same_relations
from training.model import DIMENSION, MAX_SCALE, PATCH
from training.optimisers import Optimisers
from training.phrase_map import PhraseMap
from training.picture_tower import Embedded, PictureTower
from training.scenes import Box, SceneMaker, Scenes
from training.schedule import Phase, Schedule

#: The name of a thing weighs three times as much as its other words.
NAME_WEIGHT = 3.0
NEUTRAL_PER_STEP = 6
#: Common nouns in each step whose similarities the map must preserve.
RELATED_PER_STEP = 192
MIN_STRENGTH, MAX_STRENGTH = 0.15, 0.6


class PictureStage:
    """The parameters of this stage, and their training loop."""

    def __init__(  # noqa: PLR0913, PLR0917 - all data of a stage
        self,
        model: CLIPModel,
        scenes: SceneMaker,
        true: Tensor,
        taught_words: Tensor,
        taught_neutral: Tensor,
        taught_nouns: Tensor,
        schedule: Schedule,
        seed: int,
        *,
        bfloat16: bool = False,
    ) -> None:
        """Take `true` of shape (words, things), names first, and the sentence model's vectors."""
        self.model, self.schedule = model, schedule
        self.tower, self.map = PictureTower(model, bfloat16=bfloat16), PhraseMap()
        self.things = true.shape[1]
        #: One vector for each thing, a training aid: pictures match it sooner than they match words.
        self.prototypes = nn.Parameter(torch.randn(self.things, DIMENSION) * 0.09)
        self.step_number = 0
        self._scenes, self._random = scenes, random.Random(seed)
        self._weights = true.float()
        self._weights[: self.things] *= NAME_WEIGHT
        self._words, self._neutral, self._nouns = taught_words, taught_neutral, taught_nouns
        self._optimisers = Optimisers(
            [self.tower, self.map],
            schedule.picture_steps,
            extra=[self.prototypes, model.logit_scale],
            rate=schedule.rate,
        )

    def start_from(self, earlier: Tensor) -> None:
        """Start from an earlier text tower's vectors of words, neutral phrases and nouns, in this order."""
        taught = torch.cat([self._words, self._neutral, self._nouns])
        fit(self.map, taught, earlier, seed=self._random.randrange(2**31))
        self.prototypes.data.copy_(earlier[: self.things])

    def run(self) -> Iterator[dict[str, float]]:
        """Take all remaining steps; yield the losses of each."""
        self.model.train()
        self.map.train()
        while self.step_number < self.schedule.picture_steps:
            yield self._step(self.schedule.phase_at(self.step_number))
            self.step_number += 1

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint, including random states."""
        return {
            "model": self.model.state_dict(),
            "map": self.map.state_dict(),
            "prototypes": self.prototypes.data,
            "optimisers": self._optimisers.state(),
            "step": self.step_number,
            "random": (self._random.getstate(), torch.get_rng_state(), self._scenes.random_state()),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint, with the same result as without an interruption."""
        self.model.load_state_dict(state["model"])
        self.map.load_state_dict(state["map"])
        self.prototypes.data.copy_(state["prototypes"])
        self._optimisers.restore(state["optimisers"])
        self.step_number = state["step"]
        python_state, torch_state, scenes = state["random"]
        self._random.setstate(python_state)
        torch.set_rng_state(torch_state)
        self._scenes.restore_random_state(scenes)

    def _step(self, phase: Phase) -> dict[str, float]:
        scenes = self._scenes.make(
            self._draw_things(phase), phase.side, strength=self._strength(), sizes=phase.sizes
        )
        rows = _rows(scenes)
        cover = _cover(rows, phase.side // PATCH, reach=0.6)
        covered = (
            torch.zeros(phase.batch, cover.shape[1]).index_add_(0, rows.scene, cover.float()).clamp(max=1)
        )
        seen = self.tower(scenes.pictures, phase.keep, covered * 0.7)
        losses = self._losses(seen, scenes, rows, phase, covered)
        self._optimisers.step(torch.stack(list(losses.values())).sum(), self.step_number)
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=math.log(MAX_SCALE))
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _losses(
        self, seen: Embedded, scenes: Scenes, rows: "_Rows", phase: Phase, covered: Tensor
    ) -> dict[str, Tensor]:
        """Compare whole pictures and single things with words, with neutral phrases and with prototypes."""
        chosen = self._choose_words(scenes)
        words, neutral = (
            self.map(self._words[chosen]),
            self.map(self._choose(self._neutral, NEUTRAL_PER_STEP)),
        )
        scale = self.model.logit_scale.exp()
        shown = torch.zeros(phase.batch, self.things)
        shown[rows.scene, rows.thing] = 1.0
        empty = torch.tensor([not inside for inside in scenes.things])
        weights = self._weights[chosen]

        whole = scale * seen.pictures @ words.T
        # If a word is true of several things on a picture, its largest weight counts.
        positive = torch.stack(
            [
                weights[:, inside].amax(1) if inside else weights.new_zeros(len(weights))
                for inside in scenes.things
            ]
        )
        threshold = (scale * seen.pictures @ neutral.T).amax(1, keepdim=True)

        things, background = _regions(seen, rows, covered, phase)
        parts = scale * things.vectors @ words.T
        parts_threshold = (scale * things.vectors @ neutral.T).amax(1, keepdim=True)
        nothing = torch.cat([seen.pictures[empty], background])
        nothing_threshold = (scale * nothing @ neutral.T).amax(1, keepdim=True)
        prototypes = scale * F.normalize(self.prototypes, dim=-1)
        return {
            "words": multi_positive(whole, positive, threshold),
            "pictures": 0.5 * multi_positive(whole.T, positive.T),
            "rule": 0.5 * against_neutral(whole, positive, threshold),
            "parts": 0.5 * multi_positive(parts, weights[:, things.thing].T, parts_threshold),
            "nothing": 0.2 * nothing_there(scale * nothing @ words.T, nothing_threshold),
            "prototypes": 0.5 * multi_positive(seen.pictures @ prototypes.T, shown, threshold.detach()),
            "part prototypes": 0.5 * F.cross_entropy(things.vectors @ prototypes.T, things.thing),
            "relations": same_relations(*self._mapped_nouns()),
        }

    def _draw_things(self, phase: Phase) -> list[list[int]]:
        counts = self._random.choices(list(phase.counts), list(phase.counts.values()), k=phase.batch)
        return [self._random.sample(range(self.things), count) for count in counts]

    def _strength(self) -> float:
        """Draw the distortion of a batch; weaker in early steps, unless the model is trained already."""
        share = self.step_number / self.schedule.picture_steps
        most = MAX_STRENGTH if self.schedule.known else min(MAX_STRENGTH, MIN_STRENGTH + 2 * share)
        return self._random.uniform(MIN_STRENGTH, most)

    def _choose_words(self, scenes: Scenes) -> Tensor:
        """Return the indexes of words to compare with: the names of all things shown, and random others."""
        shown = {thing for inside in scenes.things for thing in inside}
        rest = self._random.sample(
            range(len(self._words)), min(self.schedule.words_per_step, len(self._words))
        )
        return torch.tensor(sorted(shown.union(rest)))

    def _choose(self, taught: Tensor, count: int) -> Tensor:
        return taught[self._random.sample(range(len(taught)), min(count, len(taught)))]

    def _mapped_nouns(self) -> tuple[Tensor, Tensor]:
        taught = self._choose(self._nouns, RELATED_PER_STEP)
        return self.map(taught), taught


class _Rows:
    """All things of a batch of scenes, in one flat list."""

    def __init__(self, scene: list[int], thing: list[int], boxes: list[Box]) -> None:
        self.scene = torch.tensor(scene, dtype=torch.long)
        self.thing = torch.tensor(thing, dtype=torch.long)
        self.boxes = torch.tensor(boxes).reshape(-1, 3)


class _Regions:
    """Mean patch vectors of things, and the indexes of these things."""

    def __init__(self, vectors: Tensor, thing: Tensor) -> None:
        self.vectors, self.thing = vectors, thing


def _rows(scenes: Scenes) -> _Rows:
    flat = [
        (n, thing, box)
        for n, inside in enumerate(scenes.things)
        for thing, box in zip(inside, scenes.boxes[n], strict=True)
    ]
    return _Rows([n for n, _, _ in flat], [thing for _, thing, _ in flat], [box for _, _, box in flat])


def _cover(rows: _Rows, grid: int, reach: float) -> Tensor:
    """Return which patches lie within `reach` sides of a thing's centre, shape (things, grid * grid)."""
    centres = (torch.arange(grid) + 0.5) / grid
    near_x = (centres - rows.boxes[:, :1]).abs() < rows.boxes[:, 2:] * reach
    near_y = (centres - rows.boxes[:, 1:2]).abs() < rows.boxes[:, 2:] * reach
    return (near_y[:, :, None] & near_x[:, None, :]).flatten(1)


def _regions(seen: Embedded, rows: _Rows, covered: Tensor, phase: Phase) -> tuple[_Regions, Tensor]:
    """Return the mean vectors of every thing's core, and of the backgrounds that are visible."""
    core = _cover(rows, phase.side // PATCH, reach=0.33).gather(1, seen.kept[rows.scene]).float()
    visible = core.sum(1) > 0
    cores = _weighted_means(seen.patches[rows.scene], core)[visible]
    bare = 1 - covered.gather(1, seen.kept)
    return _Regions(cores, rows.thing[visible]), _weighted_means(seen.patches, bare)[bare.sum(1) > 2]


def _weighted_means(patches: Tensor, weights: Tensor) -> Tensor:
    return F.normalize((patches * weights[:, :, None]).sum(1) + 1e-6, dim=-1)
