import os

import pytest

from worker import processors
from worker.settings import Settings
from worker.wiring.sizing import Sizing


@pytest.fixture
def quota(tmp_path, monkeypatch):
    """Write what a container is allowed on a machine of eight processors, and return how many are ours."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)))

    def of(text):
        file = tmp_path / "cpu.max"
        file.write_text(text, encoding="ascii")
        monkeypatch.setattr(processors, "_QUOTA", file)
        return processors.usable_processors()

    return of


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("10000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("100000 0\n", 8),
        ("nonsense\n", 8),
        ("", 8),
    ],
)
def test_a_container_has_no_more_processors_than_its_quota(quota, text, usable):
    assert quota(text) == usable


def test_without_a_container_there_is_no_quota(quota, tmp_path, monkeypatch):
    monkeypatch.setattr(processors, "_QUOTA", tmp_path / "none")
    assert processors.usable_processors() == 8


@pytest.mark.parametrize(
    ("processors", "settings", "expected"),
    [
        (1, {}, (1, 1, 32)),
        (2, {}, (2, 1, 48)),
        (4, {}, (4, 1, 80)),
        (16, {}, (4, 4, 80)),
        (64, {}, (4, 16, 80)),
        (6, {}, (4, 1, 80)),
        (16, {"batch_size": 32}, (4, 4, 160)),
        (16, {"torch_threads": 16}, (1, 16, 32)),
        (16, {"torch_threads": 32}, (1, 32, 32)),
        (16, {"passes": 1}, (1, 16, 32)),
        (16, {"passes": 16}, (16, 1, 272)),
        (16, {"batch_size": 1024}, (4, 4, 1024)),
        (2, {"passes": 1, "torch_threads": 2, "concurrency": 5}, (1, 2, 5)),
    ],
)
def test_passes_threads_and_jobs_are_chosen_together(processors, settings, expected):
    sizing = Sizing.of(Settings(**settings), processors)
    assert (sizing.passes, sizing.torch_threads, sizing.concurrency) == expected
