"""Computes how long each frame of an animation is displayed, by the rules of Chromium."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Blink displays a frame of at most 10 ms, in every format, for 100 ms.
_SHORTEST_MILLISECONDS: Final = 10
_INSTEAD_MILLISECONDS: Final = 100
#: An animation that ends keeps showing its last frame: this long is assumed.
_REST_MILLISECONDS: Final = 5_000
#: More plays do not change the shares noticeably.
_MAX_PLAYS: Final = 1_000
#: A GIF plays once unless one of these blocks is anywhere in it; Pillow reads only the first kind, and only
#: before the first frame.
_LOOP_BLOCKS: Final = (b"NETSCAPE2.0", b"ANIMEXTS1.0")


def frame_milliseconds(image: Image.Image) -> float:
    """Return how long the loaded frame is displayed in each play."""
    duration = float(image.info.get("duration") or 0)
    return duration if duration > _SHORTEST_MILLISECONDS else _INSTEAD_MILLISECONDS


def has_default_image(image: Image.Image) -> bool:
    """Whether the first frame is a PNG's default image, which only viewers without animation show."""
    return bool(getattr(image, "default_image", False))


def plays(image: Image.Image, data: bytes) -> int:
    """Return how often an animation plays before it stops on its last frame; 0 means for ever.

    Pillow does not read how often an AVIF sequence plays.
    """
    loop = image.info.get("loop")
    if image.format == "GIF":
        unread = loop is None and any(block in data for block in _LOOP_BLOCKS)
        return 0 if loop == 0 or unread else int(loop or 0) + 1
    return int(loop or 0)


def time_on_screen(milliseconds: Sequence[float], play_count: int) -> NDArray[np.float64]:
    """Return how long each frame is displayed in all plays, the last one with the time after the end."""
    times = np.array(milliseconds) * min(play_count or 1, _MAX_PLAYS)
    times[-1] += _REST_MILLISECONDS if play_count else 0
    return times
