"""Each piece of advice comes from a figure of the run, and none comes without it."""

import re
from dataclasses import replace

import pytest
from support.figures import GB, figures, full_load, towers

from worker.bench.advice import advise, in_bytes
from worker.bench.figures import Configured, Machine, PeakMemory, TowerCost


def what(found):
    return [advice.what for advice in advise(found)]


def why(found, what):
    (text,) = [advice.why for advice in advise(found) if advice.what == what]
    return text


QUIET = ["one worker process on this machine"]


def test_where_nothing_gains_the_cores_are_in_use():
    assert what(figures()) == QUIET
    assert "99% of the cores' time was used" in why(figures(), QUIET[0])


def test_where_the_system_tells_nothing_there_is_nothing_to_say():
    load = full_load(worker_core_ms=None, decoders_core_ms=None, idle_core_ms=None)
    assert what(figures(single=load, memory=None)) == ["nothing"]


def test_a_faster_precision_comes_with_what_it_gains():
    found = figures(alone=towers(130.0, TowerCost("bfloat16", 16, 65.0)))
    assert what(found) == ["MODERATION_PRECISION=auto", *QUIET]
    # 200 core-milliseconds less 65 are 135, and 2000 / 135 is 14.8.
    text = why(found, "MODERATION_PRECISION=auto")
    assert "65.0 core-ms a picture in bfloat16 instead of 130.0: about 14.8 pictures a second" in text


def test_bfloat16_without_the_hardware_is_taken_back():
    slow = replace(towers(130.0, TowerCost("float32", 16, 60.0)), tower=TowerCost("bfloat16", 16, 130.0))
    assert what(figures(alone=slow))[0] == "MODERATION_PRECISION=float32"


@pytest.mark.parametrize(
    ("concurrency", "asked"),
    [
        (16, "MODERATION_BATCH_SIZE=32 MODERATION_CONCURRENCY=96"),
        (96, "MODERATION_BATCH_SIZE=32"),
        (0, "MODERATION_BATCH_SIZE=32"),
    ],
)
def test_a_better_size_of_passes_brings_jobs_enough_to_fill_them(concurrency, asked):
    found = figures(
        alone=towers(130.0, TowerCost("float32", 8, 140.0), TowerCost("float32", 32, 100.0)),
        configured=Configured("float32", 16, 2, concurrency),
    )
    assert what(found)[0] == asked


def test_a_size_in_another_precision_is_none_to_choose():
    assert not re.search("BATCH", "".join(what(figures(alone=towers(130.0, TowerCost("bfloat16", 8, 1.0))))))


IDLE = full_load(worker_core_ms=100.0, decoders_core_ms=20.0, idle_core_ms=70.0)


def test_passes_that_are_not_full_while_cores_are_idle_want_more_in_hand():
    found = figures(single=replace(IDLE, pictures_a_pass=7.0), configured=Configured("float32", 16, 2, 16))
    assert "MODERATION_CONCURRENCY=0" in what(found)
    assert "7.0 pictures on average, but 16 fit, and 35%" in why(found, "MODERATION_CONCURRENCY=0")
    assert "MODERATION_CONCURRENCY=0" not in what(replace(found, single=IDLE))
    by_itself = replace(found.configured, concurrency=0)
    assert "MODERATION_CONCURRENCY=0" not in what(replace(found, configured=by_itself))


def test_idle_cores_take_another_process_where_memory_has_room_for_it():
    assert what(figures(single=IDLE)) == ["2 worker processes on this machine"]
    assert "each takes 1.1 GB, and 8.0 GB are free" in why(
        figures(single=IDLE), what(figures(single=IDLE))[0]
    )
    crowded = Machine("A processor", 2.0, GB, has_bfloat16=True, has_int8=False)
    assert what(figures(single=IDLE, machine=crowded)) == ["memory for a second worker process"]


def test_cores_that_others_use_are_no_room_and_no_measure():
    busy = full_load(worker_core_ms=100.0, decoders_core_ms=20.0, idle_core_ms=0.0)
    found = figures(single=busy, alone=towers(60.0))
    assert what(found) == ["measure on a quiet machine"]
    # 80 of 200 core-milliseconds are other's, 3 of them this command's.
    assert "other programs used 38% of the cores' time" in why(found, "measure on a quiet machine")
    assert "about 16.3 pictures a second instead of 10.0" in why(found, "measure on a quiet machine")


def test_decoders_that_never_rest_want_company():
    machine = Machine("A processor", 16.0, 8 * GB, has_bfloat16=True, has_int8=False)
    load = full_load(rate=40.0, worker_core_ms=50.0, decoders_core_ms=95.0, idle_core_ms=250.0)
    found = figures(machine=machine, single=load, many=load, memory=PeakMemory(GB, GB, 4))
    assert "MODERATION_DECODER_PROCESSES=8" in what(found)


def test_the_wall_is_named():
    decoding = replace(towers(30.0), decode=120.0)
    assert "smaller pictures" in what(figures(alone=decoding))
    storing = replace(towers(30.0), store=120.0)
    assert "PostgreSQL, and messages of many" in what(figures(alone=storing))


def test_int8_where_the_tower_is_the_wall_and_the_processor_has_it():
    machine = Machine("A processor", 2.0, 8 * GB, has_bfloat16=True, has_int8=True)
    assert "moderate model export --int8" in what(figures(machine=machine))
    assert "65% of what a picture costs" in why(figures(machine=machine), "moderate model export --int8")
    assert "moderate model export --int8" not in what(figures(machine=machine, alone=towers(50.0)))
    already = replace(figures().configured, is_int8=True)
    assert "moderate model export --int8" not in what(figures(machine=machine, configured=already))
    elsewhere = replace(figures().configured, on_processor=False)
    assert "moderate model export --int8" not in what(figures(machine=machine, configured=elsewhere))


def test_messages_of_many_where_they_are_faster():
    found = figures(many=full_load(rate=12.0, per_message=20))
    assert "12.0 pictures a second came from messages of 20" in why(found, "client.submit_many")


@pytest.mark.parametrize(
    ("number", "said"), [(690_000, "690 kB"), (87_400_000, "87 MB"), (1_240_000_000, "1.2 GB"), (12, "0 kB")]
)
def test_sizes_are_said_as_people_say_them(number, said):
    assert in_bytes(number) == said
