"""How long each part of the training lasts, and what it sees: fixed steps, so that a run can be repeated."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the picture stage."""

    name: str
    steps: int
    batch: int
    #: Side of the pictures, pixels.
    side: int
    #: How many things are on a picture, and how often.
    counts: dict[int, float]
    sizes: tuple[float, float]
    #: Patches looked at; None: all.
    keep: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """One whole training."""

    phases: tuple[Phase, ...]
    word_steps: int
    word_batch: int
    backgrounds: int
    vocabulary: int
    #: Words that each step of the picture stage compares pictures with.
    words_per_step: int
    compositions: int
    #: Share of the usual learning rates.
    rate: float = 1.0
    #: Whether the model has learned before: then nothing is held back as too hard to begin with.
    known: bool = False

    @property
    def picture_steps(self) -> int:
        """Steps of the picture stage in all."""
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> Phase:
        """Return the phase that step number `step`, from 0, belongs to."""
        for phase in self.phases:
            if step < phase.steps:
                return phase
            step -= phase.steps
        raise IndexError(step)


SINGLES = {0: 0.05, 1: 0.95}
MIXED = {0: 0.08, 1: 0.38, 2: 0.24, 3: 0.18, 4: 0.12}
#: Small single things first, since they cost a quarter; then scenes with half the patches; then all of it.
FULL = Schedule(
    phases=(
        Phase("small singles", 2700, 144, 48, SINGLES, (0.55, 1.05)),
        Phase("scenes, half the patches", 1900, 112, 96, MIXED, (0.28, 0.95), keep=36),
        Phase("scenes", 500, 96, 96, MIXED, (0.28, 0.95)),
    ),
    word_steps=1000,
    word_batch=512,
    backgrounds=3000,
    vocabulary=6000,
    words_per_step=1024,
    compositions=6000,
)
#: A second run, from the model that the first one left: scenes only, most of them with half the patches.
AGAIN = replace(
    FULL,
    phases=(
        Phase("scenes, half the patches", 4200, 112, 96, MIXED, (0.28, 0.95), keep=36),
        Phase("scenes", 2000, 96, 96, MIXED, (0.28, 0.95)),
    ),
    word_steps=1200,
    rate=0.6,
    known=True,
)
#: A minute on two cores: proves that every part works, not that it learns much.
SMOKE = Schedule(
    phases=(
        Phase("small singles", 6, 16, 48, SINGLES, (0.55, 1.05)),
        Phase("scenes, half the patches", 3, 16, 96, MIXED, (0.28, 0.95), keep=36),
        Phase("scenes", 3, 16, 96, MIXED, (0.28, 0.95)),
    ),
    word_steps=6,
    word_batch=32,
    backgrounds=16,
    vocabulary=700,
    words_per_step=64,
    compositions=20,
)
