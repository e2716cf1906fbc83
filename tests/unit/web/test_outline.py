"""The outline of the part that showed a label."""

import pytest

from worker.domain.view import FIRST, View
from worker.web.desk.outline import Outline, outline


@pytest.mark.parametrize(
    ("view", "size", "expected"),
    [
        (View(part=0, parts=3), (1920, 1080), Outline(1920, 1080, 0, 0, 1080)),
        (View(part=1, parts=3), (1920, 1080), Outline(1920, 1080, 420, 0, 1080)),
        (View(part=3, parts=4, is_tall=True), (1080, 2400), Outline(1080, 2400, 0, 1320, 1080)),
        (FIRST, (1920, 1080), None),
        (View(part=1, parts=3), None, None),
    ],
)
def test_it_lies_where_the_part_was_cut(view, size, expected):
    assert outline(view, size) == expected
