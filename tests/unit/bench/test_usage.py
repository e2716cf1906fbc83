"""What a process and its children used is read from /proc."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from worker.bench.machine import cores
from worker.bench.usage import idle_seconds, read_tree

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
WORK = "sum(range(10**7)); print('done', flush=True); input()"


def test_children_count_while_they_live_and_when_they_are_gone():
    before = read_tree(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", WORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout.readline() == b"done\n"
        during = read_tree(os.getpid())
        child.communicate(b"\n")
    after = read_tree(os.getpid())
    assert during.children == before.children + 1
    assert during.children_peak_bytes > before.children_peak_bytes
    assert before.children_bytes < during.children_bytes <= during.children_peak_bytes
    assert before.children_seconds < during.children_seconds
    # The kernel rounds to its ticks, each sum for itself.
    assert after.children_seconds > during.children_seconds - 0.1
    assert after.seconds == after.own_seconds + after.children_seconds
    assert 0 < after.own_bytes <= after.own_peak_bytes


def test_a_process_that_is_gone_says_nothing():
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert read_tree(child.pid) is None


def test_the_machine_has_processors():
    assert cores() > 0
    assert (idle_seconds() or 0.0) >= 0
