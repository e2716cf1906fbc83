"""Computes shapes that more than one page draws as inline SVG."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class StackedBar:
    """A bar of two parts that stands on the axis, in SVG units; y grows downwards."""

    x: float
    width: float
    lower_y: float
    lower_height: float
    upper_y: float
    upper_height: float

    @classmethod
    def of(  # noqa: PLR0913 - a bar is what all of these make it
        cls, lower: int, upper: int, *, most: int, height: float, x: float, width: float
    ) -> Self:
        """Return the bar of two counts in a chart whose `height` stands for `most`."""
        lower_height, upper_height = height * lower / most, height * upper / most
        return cls(
            x=round(x, 2),
            width=round(width, 2),
            lower_y=round(height - lower_height, 2),
            lower_height=round(lower_height, 2),
            upper_y=round(height - lower_height - upper_height, 2),
            upper_height=round(upper_height, 2),
        )
