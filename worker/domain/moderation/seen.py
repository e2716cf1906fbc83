"""How much of a picture was judged, and whether that is enough for a decision by scores."""

from dataclasses import dataclass
from math import floor
from typing import Final

#: Below this share the policy's `on_partly_seen` applies.
ENOUGH: Final = 0.5
#: The centre square of a 4:3 picture covers more than this; it is not mentioned.
_AREA_OF_A_CENTRE: Final = 0.74
#: 100 * 0.29 is 28.999999999999996.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Seen:
    """The shares of a picture, 0 to 1, that the judged views represent."""

    #: Of an animation's display time.
    time_share: float = 1.0
    #: Of a frame's area.
    area_share: float = 1.0

    @property
    def is_enough(self) -> bool:
        """Whether at least half was judged."""
        return self.time_share >= ENOUGH and self.area_share >= ENOUGH

    def __str__(self) -> str:
        """Describe for people which share was judged; empty if it is large enough not to matter."""
        shares = []
        if self.time_share < ENOUGH:
            shares.append(f"frames shown for {_percent(self.time_share)} of the time were looked at")
        if self.area_share < _AREA_OF_A_CENTRE:
            shares.append(f"{_percent(self.area_share)} of the picture was looked at")
        return "; ".join(shares)


#: A still picture that is judged as a whole.
WHOLE: Final = Seen()


def _percent(share: float) -> str:
    """Return whole per cent, rounded down: less than half must not be shown as 50 %."""
    return f"{floor(100 * share + _ROUNDING)}%"
