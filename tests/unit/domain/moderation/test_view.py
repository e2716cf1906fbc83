"""What each vector of a picture stands for, and how people read it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.moderation.picture import PictureFacts
from worker.domain.moderation.view import View, Views

VIEWS = st.builds(Views, st.integers(1, 64), st.integers(1, 8), st.integers(1, 2), st.booleans())


@given(VIEWS)
def test_every_vector_stands_for_a_view_of_its_own(views):
    every = list(views)
    assert len(every) == len(set(every)) == len(views) == views.frames * views.parts * views.pages
    assert [views.index(view) for view in every] == list(range(len(views)))
    assert every[0] == View(0, on_black=False, part=0, parts=views.parts, is_tall=views.is_tall)
    assert every[-1] == View(
        views.frames - 1, views.pages == 2, views.parts - 1, views.parts, is_tall=views.is_tall
    )


@pytest.mark.parametrize("index", [-1, 6])
def test_there_are_no_other_views(index):
    with pytest.raises(IndexError, match=f"view {index} of 6 does not exist"):
        Views(frames=3, pages=2)[index]


def test_in_another_preparation_a_view_is_what_shows_the_same():
    as_judged = View(frame=4, on_black=True, part=2, parts=3)
    assert Views(frames=8, pages=2).index(as_judged) == 12
    assert Views(frames=8).index(as_judged) == 4
    assert Views(frames=2).index(as_judged) == 1


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (View(), ""),
        (View(frame=3), " in the 4th frame looked at"),
        (View(frame=10), " in the 11th frame looked at"),
        (View(frame=21), " in the 22nd frame looked at"),
        (View(on_black=True), " on a black page"),
        (View(part=0, parts=2), " in the left part"),
        (View(part=1, parts=2), " in the right part"),
        (View(part=1, parts=3), " in the middle part"),
        (View(part=2, parts=3, is_tall=True), " in the bottom part"),
        (View(part=1, parts=4, is_tall=True), " in the 2nd of 4 parts from the top"),
        (View(part=0, parts=6), " in the 1st of 6 parts from the left"),
        (View(part=2, parts=6), " in the 3rd of 6 parts from the left"),
        (
            View(5, True, 3, 4),
            " in the 6th frame looked at in the 4th of 4 parts from the left on a black page",
        ),
    ],
)
def test_people_read_where_it_is(view, words):
    assert str(view) == words


@pytest.mark.parametrize("count", [0, 5, 7, 18, 24])
def test_a_picture_has_its_views_on_one_page_or_on_two(count):
    facts = PictureFacts("a" * 64, "GIF", 300, 100, frames=2, parts=3)
    assert facts.views(6) == Views(2, 3, 1)
    assert facts.views(12) == Views(2, 3, 2)
    with pytest.raises(ValueError, match=f"2 frames of 3 parts, but {count} vectors"):
        facts.views(count)
