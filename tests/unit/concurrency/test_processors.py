"""A process knows how many processors it may use, in any container, and shares them among its passes."""

import os

import pytest

from worker.bench.machine import free_in_groups
from worker.concurrency.processors import quota, usable_processors
from worker.settings import Settings
from worker.wiring.sizing import Sizing

V2 = "0::{}\n"
V1 = "12:memory:{0}\n4:cpu,cpuacct:{0}\n1:name=systemd:{0}\n0::{0}\n"
POD = "/kubepods.slice/kubepods-burstable.slice/kubepods-pod1.slice"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Write control groups on a machine of eight processors; return what this process is in and where they are."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)))

    def of(membership, **files):
        mount = tmp_path / "cgroup"
        mount.mkdir()
        for name, text in files.items():
            file = mount / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="ascii")
        (tmp_path / "membership").write_text(membership)
        return tmp_path / "membership", mount

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
        ("-1 100000\n", 8),
        ("nonsense\n", 8),
        ("", 8),
    ],
)
def test_a_container_has_no_more_processors_than_its_quota(machine, text, usable):
    assert usable_processors(*machine(V2.format("/"), **{"cpu.max": text})) == usable


def test_without_control_groups_there_is_no_quota(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)))
    assert quota(tmp_path / "membership", tmp_path / "cgroup") is None
    assert usable_processors(tmp_path / "membership", tmp_path / "cgroup") == 8


NESTED = {
    "the innermost group": ({f"{POD}/container/cpu.max": "250000 100000"}, 2.5),
    "the pod around it": ({f"{POD}/cpu.max": "300000 100000", f"{POD}/container/cpu.max": "max 100000"}, 3),
    "the smallest of all": (
        {
            "/cpu.max": "600000 100000",
            f"{POD}/cpu.max": "150000 100000",
            f"{POD}/container/cpu.max": "400000 100000",
        },
        1.5,
    ),
    "another container's": ({f"{POD}/other/cpu.max": "100000 100000"}, None),
    "none": ({f"{POD}/container/cpu.max": "max 100000"}, None),
}


@pytest.mark.parametrize("which", NESTED)
def test_the_groups_around_a_group_limit_it_too(machine, which):
    files, expected = NESTED[which]
    files = {name.lstrip("/"): text for name, text in files.items()}
    assert quota(*machine(V2.format(f"{POD}/container"), **files)) == expected


def v1(folder, allowed, period=100_000):
    return {f"{folder}/cpu.cfs_quota_us": f"{allowed}\n", f"{folder}/cpu.cfs_period_us": f"{period}\n"}


VERSION_1 = {
    "seen from the host": (v1("cpu,cpuacct/docker/abc", 300_000), 3),
    "a container sees its own as the root": (v1("cpu,cpuacct", 200_000), 2),
    "mounted by the controller's name": (v1("cpu", 50_000), 0.5),
    "of the group around it": (v1("cpu,cpuacct/docker", 100_000) | v1("cpu,cpuacct/docker/abc", -1), 1),
    "another period": (v1("cpu,cpuacct/docker/abc", 75_000, 50_000), 1.5),
    "unlimited": (v1("cpu,cpuacct/docker/abc", -1), None),
    "of another controller": (v1("memory/docker/abc", 100_000), None),
    "nonsense": (v1("cpu,cpuacct/docker/abc", "much"), None),
}


@pytest.mark.parametrize("which", VERSION_1)
def test_version_1_counts_as_well(machine, which):
    files, expected = VERSION_1[which]
    assert quota(*machine(V1.format("/docker/abc"), **files)) == expected


def test_the_memory_that_is_free_is_that_of_the_narrowest_group(machine):
    files = {
        "a/memory.max": "4000",
        "a/memory.current": "1000",
        "a/b/memory.max": "max",
        "a/b/memory.current": "500",
    }
    assert list(free_in_groups(*machine(V2.format("/a/b"), **files))) == [3000]


def test_the_memory_of_version_1_counts_as_well(machine):
    files = {"memory/docker/memory.limit_in_bytes": "4000\n", "memory/docker/memory.usage_in_bytes": "1000\n"}
    assert list(free_in_groups(*machine(V1.format("/docker/abc"), **files))) == [3000]


def test_both_versions_side_by_side_count(machine):
    files = v1("cpu,cpuacct/docker/abc", 300_000) | {"unified/docker/abc/cpu.max": "200000 100000"}
    assert quota(*machine(V1.format("/docker/abc"), **files)) == 2


@pytest.mark.parametrize(
    "membership", ["", "nonsense\n", "0::/../../outside\n", "0::/with:colons\n", "\xff\n"]
)
def test_a_membership_of_another_form_leaves_the_root(machine, membership):
    assert quota(*machine(membership, **{"cpu.max": "200000 100000"})) == 2


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
