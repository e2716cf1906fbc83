"""How much of a picture was looked at, and whether that is enough to go by."""

from dataclasses import dataclass
from math import floor
from typing import Final

#: Below this share the policy decides by its `on_partly_seen`.
ENOUGH: Final = 0.5
#: The centre square of a 4:3 picture covers no less, and goes without saying.
_AREA_OF_A_CENTRE: Final = 0.74
#: 100 * 0.29 is 28.999999999999996.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Seen:
    """The shares of a picture, 0 to 1, that the views looked at stand for."""

    #: Of an animation's display time.
    time_share: float = 1.0
    #: Of a frame's area.
    area_share: float = 1.0

    @property
    def is_enough(self) -> bool:
        """Whether at least half was looked at."""
        return self.time_share >= ENOUGH and self.area_share >= ENOUGH

    def __str__(self) -> str:
        """Say for people what was not looked at, as far as it matters; empty if it does not."""
        said = []
        if self.time_share < ENOUGH:
            said.append(f"frames shown for {_percent(self.time_share)} of the time were looked at")
        if self.area_share < _AREA_OF_A_CENTRE:
            said.append(f"{_percent(self.area_share)} of the picture was looked at")
        return "; ".join(said)


#: Of a still picture that is looked at as a whole.
WHOLE: Final = Seen()


def _percent(share: float) -> str:
    """Return whole per cent, rounded down: what is less than half must not be called 50 %."""
    return f"{floor(100 * share + _ROUNDING)}%"
