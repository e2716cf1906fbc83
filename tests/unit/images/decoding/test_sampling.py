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
    # Some differ by less than what counts as nearly the same, some by more.
    scale = random.choice([20, 80, 255], (kinds, 1))
    kinds_of_look = (random.random((kinds, 24)) * scale).astype(np.float32)
    return kinds_of_look[random.integers(0, kinds, count)]


@settings(max_examples=150)
@given(TIMES, st.integers(1, 60), MOST, SEEDS)
def test_a_sample_has_the_first_and_the_last_frame_and_no_more_than_are_looked_at(times, kinds, most, seed):
    sketches, required = looks(len(times), kinds), tuple(dict.fromkeys((0, len(times) - 1)))

    sample = choose(np.array(times), sketches, required, most, seed)

    assert list(sample.frames) == sorted(set(sample.frames))
    assert 1 <= len(sample.frames) <= min(most, len(times))
    assert 0 in sample.frames
    assert most < 3 or len(times) - 1 in sample.frames or long(times, most)
    assert sample == choose(np.array(times), sketches, required, most, seed)


def long(times, most):
    """Return the frames that fill as much time as an average choice."""
    return {frame for frame, time in enumerate(times) if time * most >= sum(times)}


@settings(max_examples=150)
@given(TIMES, st.integers(1, 60), st.integers(2, 10), SEEDS)
def test_a_frame_that_fills_much_time_is_looked_at_whatever_looks_nearly_the_same(times, kinds, most, seed):
    sketches, required = looks(len(times), kinds), tuple(dict.fromkeys((0, len(times) - 1)))

    frames = choose(np.array(times), sketches, required, most, seed).frames

    assert set(sorted(long(times, most), key=lambda frame: -times[frame])[: most - 1]) <= set(frames)


@pytest.mark.parametrize("likeness", [0, 1, 70, 76])
def test_of_frames_that_only_seem_to_be_the_same_some_are_drawn(likeness):
    # All but the first and the last; what differs more is shown for a fifth of the time.
    sketches = np.zeros((100, 24), np.float32)
    sketches[1:99, 0] = likeness + np.linspace(0, 0.5, 98)
    sketches[1:99:5] = looks(20, 20) + 255

    for seed in range(50):
        frames = choose(np.full(100, 100.0), sketches, (0, 99), 8, bytes([seed])).frames
        assert any(frame % 5 != 1 for frame in frames[1:-1])


@settings(max_examples=150)
@given(TIMES, st.integers(1, 60), MOST, SEEDS)
def test_the_share_is_that_of_what_looks_like_a_chosen_frame(times, kinds, most, seed):
    times, sketches = np.array(times), looks(len(times), kinds)

    sample = choose(times, sketches, (0,), most, seed)

    alike = np.any([nearly_the_same(differences(sketches, frame)) for frame in sample.frames], axis=0)
    assert sample.time_share == pytest.approx(times[alike].sum() / times.sum())


@given(st.integers(2, 6), st.integers(20, 60), SEEDS)
def test_when_there_are_few_looks_all_time_is_seen(kinds, count, seed):
    sketches = np.eye(kinds, dtype=np.float32)[np.arange(count) % kinds] * 255
    sample = choose(np.full(count, 100.0), sketches, (0, count - 1), 8, seed)

    assert sample.time_share == 1


@given(st.integers(0, 99), SEEDS)
def test_a_look_that_fills_an_eighth_of_the_time_is_always_chosen(place, seed):
    # A look that comes again and again for moments: no frame of it is shown for long.
    sketches = np.eye(100, dtype=np.float32) * 255
    sketches[place // 7 :: 7] = sketches[place]

    frames = choose(np.full(100, 100.0), sketches, (0, 99), 8, seed).frames

    assert any((sketches[frame] == sketches[place]).all() for frame in frames)


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
