"""A worker process that crashes or hangs at marked pictures, and a supervisor that restarts it.

`python -m support.deadly_worker worker` is `moderate worker` with these faults and with leases of seconds.
The supervisor does the heavy imports once, and forks each worker. SIGTERM stops the supervisor with its
worker.
"""

import os
import signal
import sys
import threading
from datetime import timedelta

import worker.wiring.worker_service  # noqa: F401 - before the fork, once for all
from worker.cli.main import run
from worker.encoder.towers import transformers_encoder  # noqa: F401 - likewise
from worker.store.submissions import due_times
from worker.usecases.moderation.judge_picture import JudgePicture
from worker.usecases.operations import leave_when_stuck
from worker.usecases.submissions import claim_submissions

#: A picture with this ending kills the worker that judges it.
POISON = b"poison"
#: A picture with this ending is judged for ever.
HANGING = b"hanging"
_judge = JudgePicture.__call__


def judge(self, live, data, *caption):
    if data.endswith(POISON):
        os.kill(os.getpid(), signal.SIGKILL)
    if data.endswith(HANGING):
        threading.Event().wait()
    return _judge(self, live, data, *caption)


def supervise() -> None:
    """Restart the worker until it exits by itself."""
    while True:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            run()
        signal.signal(signal.SIGTERM, lambda *_, child=child: os.kill(child, signal.SIGTERM))
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            sys.stderr.write(f"the worker died of signal {os.WTERMSIG(status)}\n")
        elif (code := os.WEXITSTATUS(status)) == leave_when_stuck.EXIT_CODE:
            sys.stderr.write("the worker exited\n")
        else:
            sys.exit(code)


if __name__ == "__main__":
    JudgePicture.__call__ = judge
    due_times.LEASE = timedelta(seconds=2)
    claim_submissions.RENEW_SECONDS = 0.5
    leave_when_stuck.LOOK_SECONDS = 0.5
    leave_when_stuck.GRACE_SECONDS = 2.0
    supervise()
