"""Chooses which frames of an animation are looked at."""

from typing import Final

from PIL import Image

from worker.errors import UndecodablePictureError
from worker.images.limits import Limits

#: The further pictures of an MPO or a HEIC (depth, gain map, other eye) are never shown: it counts as still.
_ANIMATED: Final = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
#: Reaching a frame costs time however small it is.
_MAX_FRAMES_WALKED: Final = 10_000


def frame_indices(image: Image.Image, limits: Limits) -> list[int]:
    """Return which frames to look at: the first, the last, and evenly between."""
    total = getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1
    count = min(total, limits.max_frames)
    if total == 1:
        return [0]
    _check_animation(image.size, total, count, limits)
    return [round(step * (total - 1) / max(1, count - 1)) for step in range(count)]


def _check_animation(size: tuple[int, int], total: int, count: int, limits: Limits) -> None:
    width, height = size
    area = width * height
    too_slow = total > _MAX_FRAMES_WALKED or total * area > limits.max_animation_pixels
    too_large = count * area > limits.max_pixels
    if too_slow or too_large:
        raise UndecodablePictureError(
            f"the animation has {total:,} frames of {width:,} x {height:,} pixels, more than is judged"
        )
