"""Computes the outline of the part of a wide or tall picture that showed its gravest label."""

from dataclasses import dataclass

from worker.domain.moderation.view import View
from worker.images.parts import SQUASHED_UP_TO


@dataclass(frozen=True, slots=True)
class Outline:
    """A part of a picture, in the picture's own pixels."""

    picture_width: int
    picture_height: int
    x: int
    y: int
    width: int
    height: int


def outline(view: View, size: tuple[int, int] | None, area_share: float | None) -> Outline | None:
    """Return the outline of a view's part; None if the picture is one part, or of unknown size.

    `area_share` is the share of the picture that its parts show. Parts leave no gap along the long side, so
    what they miss lies at its edges; a share that excessive squeezing reduced says nothing about them.
    """
    if size is None or view.parts == 1:
        return None
    long, short = max(size), min(size)
    squeezed = long > SQUASHED_UP_TO * view.parts * short
    across = short if squeezed or area_share is None else round(area_share * short)
    along = max(across, -(-long // view.parts))
    start, margin = view.part * (long - along) // (view.parts - 1), (short - across) // 2
    if view.is_tall:
        return Outline(*size, margin, start, across, along)
    return Outline(*size, start, margin, along, across)
