"""Numbers as people say them."""

import pytest

from worker.domain.evaluation.wording import age, counted, percent, up_to


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (200_000, "2 days")],
)
def test_an_age_is_told_in_the_unit_that_fits(seconds, words):
    assert age(seconds) == words


def test_one_is_one_and_many_are_many():
    assert (counted(1, "event"), counted(2000, "event")) == ("1 event", "2,000 events")


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.184, "18%"),
        (0.1, "10%"),
        (0.0996, "10%"),
        (0.0123, "1.2%"),
        (0.01, "1%"),
        (0.00042, "0.042%"),
        (0.0001, "0.01%"),
        (0.00009, "less than 0.01%"),
    ],
)
def test_a_share_has_two_digits(share, words):
    assert percent(share) == words


def test_a_count_up_to_a_bound_says_that_there_are_more():
    assert [up_to(count, 1_000) for count in (7, 1_000, 1_001)] == ["7", "1,000", "1,000+"]
