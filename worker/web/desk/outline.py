"""Outlines the part of a wide or tall picture that showed its gravest label."""

from dataclasses import dataclass

from worker.domain.view import View


@dataclass(frozen=True, slots=True)
class Outline:
    """A square within a picture, in the picture's own pixels."""

    picture_width: int
    picture_height: int
    x: int
    y: int
    side: int


def outline(view: View, size: tuple[int, int] | None) -> Outline | None:
    """Return the outline of a view's part; None if the picture is one part, or of unknown size."""
    if size is None or view.parts == 1:
        return None
    side = min(size)
    start = view.part * (max(size) - side) // (view.parts - 1)
    x, y = (0, start) if view.is_tall else (start, 0)
    return Outline(*size, x, y, side)
