"""A process forked by the tests' fork server: like one from a shell, and gone with the process that asked for it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
from support.deployment import wait_for

TESTS = Path(__file__).parents[2]
# Nothing is preloaded: neither test needs torch.
PROGRAM = """
import sys, time
from functools import partial
from pathlib import Path
from multiprocessing import forkserver
from support.forked_worker import ForkedProcess, forking

forking.set_forkserver_preload([])
"""
DESCRIBE = """
import atexit, json, os, signal, sys
atexit.register(print, "left")
sys.stderr.write("warned\\n")
handlers = [signal.getsignal(number) == signal.SIG_DFL for number in (signal.SIGTERM, signal.SIGCHLD)]
print(json.dumps([os.getcwd(), os.environ["GIVEN"], os.getsid(0) == os.getpid(), handlers, sys.stdin.read()]))
sys.exit(3)
"""


def program(text: str, **options) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    command = [sys.executable, "-c", PROGRAM + text]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **options)


def test_it_runs_as_if_a_shell_had_started_it(tmp_path):
    text = f"""
log = Path("log")
process = ForkedProcess(partial(exec, {DESCRIBE!r}), log, {{"GIVEN": "here"}})
print(process.wait(60), process.poll())
stopped = ForkedProcess(partial(time.sleep, 60), log.with_name("other"), {{}})
assert stopped.poll() is None
stopped.terminate()
print(stopped.wait(60))
"""
    with program(text, cwd=tmp_path) as running:
        assert running.stdout.read().split() == ["3", "3", str(-signal.SIGTERM)]
    warned, described, left = (tmp_path / "log").read_text().splitlines()
    assert (warned, left) == ("warned", "left")
    assert json.loads(described) == [str(tmp_path), "here", True, [True, True], ""]


def test_it_and_its_server_end_with_the_process_that_asked_for_it(tmp_path):
    text = """
process = ForkedProcess(partial(time.sleep, 600), Path("log"), {})
print(process.pid, forkserver._forkserver._forkserver_pid, flush=True)
time.sleep(600)
"""
    with program(text, cwd=tmp_path) as running:
        left_behind = [psutil.Process(int(pid)) for pid in running.stdout.readline().split()]
        assert len(left_behind) == 2
        running.kill()
    wait_for(lambda: not any(map(lives, left_behind)), what="both to end", seconds=60)


def lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
