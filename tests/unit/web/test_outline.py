"""The outline of the part that showed a label."""

import pytest

from worker.domain.moderation.view import FIRST, View
from worker.web.desk.rendering.outline import Outline, outline


@pytest.mark.parametrize(
    ("view", "size", "share", "expected"),
    [
        (View(part=0, parts=3), (1920, 1080), 1.0, Outline(1920, 1080, 0, 0, 1080, 1080)),
        (View(part=1, parts=3), (1920, 1080), None, Outline(1920, 1080, 420, 0, 1080, 1080)),
        (View(part=3, parts=4, is_tall=True), (1080, 2400), 1.0, Outline(1080, 2400, 0, 1320, 1080, 1080)),
        # The model resizes to 256 and crops 224.
        (View(part=0, parts=3), (1920, 1080), 0.875, Outline(1920, 1080, 0, 67, 945, 945)),
        (View(part=2, parts=3), (1920, 1080), 0.875, Outline(1920, 1080, 975, 67, 945, 945)),
        # Squeezed, so that a part shows more than a square.
        (View(part=5, parts=6), (9000, 1000), 1.0, Outline(9000, 1000, 7500, 0, 1500, 1000)),
        (View(part=1, parts=6), (18_000, 1000), 0.6, Outline(18_000, 1000, 3000, 0, 3000, 1000)),
        (FIRST, (1920, 1080), 1.0, None),
        (View(part=1, parts=3), None, 1.0, None),
    ],
)
def test_it_lies_where_the_part_was_cut(view, size, share, expected):
    assert outline(view, size, share) == expected
