"""`moderate demo` as someone meets it who has just cloned the repository, and what it leaves behind: nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from support.deployment import wait_for


@pytest.fixture
def environment() -> dict[str, str]:
    """Return an environment in which nothing is configured, so that the demo brings its own Redis."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MODERATION_")}


@pytest.fixture(autouse=True)
def ctrl_c_is_heeded() -> Iterator[None]:
    """Let children be interrupted as in a terminal: tests run in the background inherit that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def demo(folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run the demo; whatever the test finds, it does not outlive the block."""
    command = [sys.executable, "-m", "worker", "demo", "--folder", str(folder)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of the processes that work in `folder`."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            # Redis puts its address over its command line, but works in the folder.
            words = [*(process.info["cmdline"] or []), *process.environ().values(), process.cwd()]
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if process.pid != os.getpid() and any(str(folder) in word for word in words):
            found.append(" ".join(process.info["cmdline"] or []))
    return found


def test_the_demo_judges_uploads_and_takes_a_new_category_without_restart(tmp_path, environment):
    folder = tmp_path / "demo"
    with demo(folder, environment) as process:
        said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    first, second = said.split("A category that the policy does not have")
    flagged = [line for line in first.splitlines() if "crossed-swords.webp" in line]
    assert any("weapons" in line for line in flagged)
    assert "gambling" not in first
    assert "broken-upload.jpg" in first
    assert any("slot-machine.jpg" in line and "gambling" in line for line in second.splitlines())
    assert "never restarted" in second
    assert "Try next" in second
    assert processes_of(folder) == []


@pytest.mark.parametrize("way", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.exhaustive)])
def test_interrupted_it_leaves_no_process_behind(tmp_path, environment, way):
    folder = tmp_path / "demo"
    with demo(folder, environment) as process:
        wait_for(lambda: len(processes_of(folder)) >= 3, what="the demo, its Redis and its worker")
        process.send_signal(way)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert processes_of(folder) == []
