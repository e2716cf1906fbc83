"""A worker process that dies of pictures that say so, and a supervisor that starts it again each time.

`python -m support.deadly_worker worker` is `moderate worker`, but for that and for leases of seconds. What is
heavy is imported once, by the supervisor; it is the supervisor that SIGTERM stops, with its worker.
"""

import os
import signal
import sys
from datetime import timedelta

import worker.wiring.service  # noqa: F401 - before the fork, once for all
from worker.cli.main import run
from worker.encoder import transformers_encoder  # noqa: F401 - likewise
from worker.store import claims
from worker.usecases import claim_submissions
from worker.usecases.judge_picture import JudgePicture

#: A picture that ends so kills whoever judges it.
DEADLY = b"deadly"
_judge = JudgePicture.__call__


def judge(self, live, data):
    if data.endswith(DEADLY):
        os.kill(os.getpid(), signal.SIGKILL)
    return _judge(self, live, data)


def supervise() -> None:
    """Start the worker again until it ends by itself."""
    while True:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            run()
        signal.signal(signal.SIGTERM, lambda *_, child=child: os.kill(child, signal.SIGTERM))
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.WEXITSTATUS(status))
        sys.stderr.write(f"the worker died of signal {os.WTERMSIG(status)}\n")


if __name__ == "__main__":
    JudgePicture.__call__ = judge
    claims.LEASE = timedelta(seconds=2)
    claim_submissions.RENEW_SECONDS = 0.5
    supervise()
