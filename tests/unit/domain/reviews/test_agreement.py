"""Agreement beyond chance, by its laws and by an example of Cohen's time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.reviews.agreement import Agreement, Hits, agreement, hits

ANSWERS = st.sampled_from(["allow", "block", "review"])
PAIRS = st.lists(st.tuples(ANSWERS, ANSWERS), max_size=40)


def test_a_worked_example():
    # Two readers, 50 proposals: 20 both yes, 15 both no, 5 and 10 apart; observed 0.7, by chance 0.5.
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert agreement(pairs) == Agreement(50, 35, pytest.approx(0.4))


def test_nothing_and_what_chance_alone_explains_say_nothing():
    assert agreement([]) == Agreement(0, 0, None)
    assert agreement([("allow", "allow")] * 3) == Agreement(3, 3, None)


@given(PAIRS)
def test_it_lies_between_minus_one_and_one_and_is_one_only_where_all_agree(pairs):
    found = agreement(pairs)
    assert found.pairs == len(pairs)
    if found.kappa is not None:
        assert -1 <= found.kappa <= 1
        assert (found.kappa == 1) == (found.agreeing == found.pairs)


@given(PAIRS, st.randoms())
def test_neither_the_order_nor_who_is_first_nor_the_words_matter(pairs, random):
    found = agreement(pairs)
    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert agreement(shuffled) == found
    assert agreement([(second, first) for first, second in pairs]) == found
    words = {"allow": 1, "block": 2, "review": 3}
    assert agreement([(words[first], words[second]) for first, second in pairs]) == found


@given(st.lists(ANSWERS, min_size=2).filter(lambda answers: len(set(answers)) > 1))
def test_who_always_agrees_has_kappa_one(answers):
    assert agreement((one, one) for one in answers).kappa == 1


@given(PAIRS, PAIRS)
def test_hits_add_up(some, more):
    found, others, both = hits(some), hits(more), hits(some + more)
    assert both == Hits(found.asked + others.asked, found.right + others.right)
    assert both.accuracy is None if not both.asked else 0 <= both.accuracy <= 1
