"""Where a picture's time goes adds up, and a rate is that of clumps as well as of single decisions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.figures import figures, full_load, towers

from worker.bench.figures import core_ms_a_picture, other_programs_core_ms, parts, rate_of

times = st.floats(0, 1000)


@given(times, times, times | st.none(), times | st.none(), st.floats(0.1, 1000))
def test_the_parts_sum_to_what_a_picture_costs(tower, worker, decoders, idle, rate):
    load = full_load(rate=rate, worker_core_ms=worker, decoders_core_ms=decoders, idle_core_ms=idle)
    found = figures(single=load, alone=towers(tower))
    assert sum(part.core_ms for part in parts(found)) == pytest.approx(core_ms_a_picture(2.0, rate))


def test_what_is_left_is_told_apart_where_the_system_tells_processor_time():
    found = {part.name: part.core_ms for part in parts(figures())}
    assert found["rest"] == pytest.approx(165 + 30 - 130 - 25 - 0.5 - 12)
    assert found["others"] == pytest.approx(200 - 165 - 30 - 2)
    assert found["idle"] == 2


def test_where_it_does_not_it_is_one_part():
    found = parts(figures(single=full_load(worker_core_ms=None, decoders_core_ms=None)))
    assert [part.name for part in found] == ["tower", "decode", "score", "store", "rest"]


def test_in_a_container_with_a_share_what_the_worker_left_is_idle():
    found = {part.name: part.core_ms for part in parts(figures(single=full_load(idle_core_ms=None)))}
    assert found["idle"] == pytest.approx(5)
    assert found["others"] == pytest.approx(0)


def test_this_command_is_no_stranger():
    found = figures(single=full_load(worker_core_ms=100.0, sender_core_ms=20.0, idle_core_ms=10.0))
    assert other_programs_core_ms(found) == pytest.approx(200 - 100 - 30 - 10 - 20)


@given(st.floats(0.5, 50), st.integers(1, 32), st.floats(0, 0.99))
def test_clumps_give_the_rate_at_which_they_follow(rate, clump, offset):
    every = clump / rate
    moments = [(turn + offset) * every for turn in range(-1, 21) for _ in range(clump)]
    assert rate_of(moments, 0.0, 20 * every) == pytest.approx(rate, rel=0.02)


def test_where_all_came_at_once_they_are_counted():
    assert rate_of([1.0] * 16, 0.0, 8.0) == 2.0
    assert rate_of([], 0.0, 8.0) == 0.0
