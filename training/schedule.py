"""The schedules of the training: fixed numbers of steps, so that a run is reproducible."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the picture stage."""

    name: str
    steps: int
    batch: int
    #: Side of the pictures, pixels.
    side: int
    #: Probabilities of the number of things on a picture.
    counts: dict[int, float]
    sizes: tuple[float, float]
    #: Patches used; None: all.
    keep: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A complete training run."""

    phases: tuple[Phase, ...]
    word_steps: int
    word_batch: int
    backgrounds: int
    vocabulary: int
    #: Words to compare pictures with in each step of the picture stage.
    words_per_step: int
    compositions: int
    #: Factor of the learning rates.
    rate: float = 1.0
    #: Whether the model is trained already: then the first steps are as hard as the last.
    known: bool = False

    @property
    def picture_steps(self) -> int:
        """Total steps of the picture stage."""
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> Phase:
        """Return the phase of step number `step`, counted from 0."""
        for phase in self.phases:
            if step < phase.steps:
                return phase
            step -= phase.steps
        raise IndexError(step)


SINGLES = {0: 0.05, 1: 0.95}
MIXED = {0: 0.08, 1: 0.38, 2: 0.24, 3: 0.18, 4: 0.12}
#: Small single things first, since they cost a quarter; then scenes with half the patches; then full scenes.
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
#: A second run that starts from the model of the first: only scenes, most of them with half the patches.
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
#: A minute on two cores: checks that every part works, not that it learns much.
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
