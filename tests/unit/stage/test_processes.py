"""A child is known before anything can interrupt us; in processes of their own, whose signals hit no others."""

import subprocess
import sys

HEAD = """
import os, signal
from worker.stage.processes import deferred_signals

# A process in the background may have been told to ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
"""
INTERRUPTED = """
try:
    with deferred_signals():
        os.kill(os.getpid(), signal.SIGINT)
        print("the block", flush=True)
    print("what follows", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
UNDISTURBED = """
with deferred_signals():
    assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print("as before")
"""


def said_by(script):
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.split("\n")[:-1]


def test_a_signal_within_the_block_is_heeded_at_its_end():
    assert said_by(INTERRUPTED) == ["the block", "interrupted"]


def test_afterwards_signals_are_heeded_as_before():
    assert said_by(UNDISTURBED) == ["as before"]
