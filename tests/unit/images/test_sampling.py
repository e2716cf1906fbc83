"""Laws of the choice of frames, whatever an animation is like."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.images.decoding.sampling import choose
from worker.images.decoding.sketch import differences, nearly_the_same

#: Of a millisecond, and of more than a file can say.
TIMES = st.lists(st.floats(11, 1e9) | st.just(100.0), min_size=1, max_size=60)
MOST = st.integers(1, 10)
SEEDS = st.binary(max_size=32)


def looks(count, kinds, seed=0):
    """Return sketches of frames of so many looks, in any order."""
    random = np.random.default_rng(seed)
    kinds_of_look = random.integers(0, 2, (kinds, 24)).astype(np.float32) * 255
    return kinds_of_look[random.integers(0, kinds, count)]


@settings(max_examples=150)
@given(TIMES, st.integers(1, 60), MOST, SEEDS)
def test_a_sample_has_the_first_and_the_last_frame_and_no_more_than_are_looked_at(times, kinds, most, seed):
    sketches, required = looks(len(times), kinds), tuple(dict.fromkeys((0, len(times) - 1)))

    sample = choose(np.array(times), sketches, required, most, seed)

    assert list(sample.frames) == sorted(set(sample.frames))
    assert 1 <= len(sample.frames) <= min(most, len(times))
    assert set(required[: most - 1 or 1]) <= set(sample.frames)
    assert sample == choose(np.array(times), sketches, required, most, seed)


@settings(max_examples=150)
@given(TIMES, st.integers(1, 60), MOST, SEEDS)
def test_the_share_is_that_of_what_looks_like_a_chosen_frame(times, kinds, most, seed):
    times, sketches = np.array(times), looks(len(times), kinds)

    sample = choose(times, sketches, (0,), most, seed)

    alike = np.any([nearly_the_same(differences(sketches, frame)) for frame in sample.frames], axis=0)
    assert sample.time_share == pytest.approx(times[alike].sum() / times.sum())


@given(st.integers(2, 6), st.integers(20, 60), SEEDS)
def test_when_there_are_no_more_looks_than_choices_all_time_is_seen(kinds, count, seed):
    sample = choose(np.full(count, 100.0), looks(count, kinds), (0, count - 1), 8, seed)

    assert sample.time_share == 1


@given(st.integers(0, 99), SEEDS)
def test_a_look_that_fills_an_eighth_of_the_time_is_always_chosen(place, seed):
    times, sketches = np.full(100, 100.0), looks(100, 1_000)
    times[place] = times.sum() / 6

    assert place in choose(times, sketches, (0, 99), 8, seed).frames


def test_ten_thousand_frames_are_compared_with_few():
    # What bounds the work is the number of comparisons, whatever the clock says.
    count, compared = 10_000, []

    class Counted(np.ndarray):
        def __getitem__(self, key):
            if isinstance(key, int):
                compared.append(key)
            return super().__getitem__(key)

    choose(np.full(count, 100.0), looks(count, count).view(Counted), (0,), 8, b"")

    assert 8 <= len(compared) < 60
