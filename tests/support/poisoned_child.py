"""A decoder child process with fault injection: the end of a picture names what its decoder does."""

import os
import signal
import sys
import time

from worker.errors import UndecodablePictureError
from worker.images.processes import child as decoder_child

MARK = b"poison:"
_decode = decoder_child.decode


def poisoned(data: bytes, kind: str) -> bytes:
    """Return a picture that triggers this fault in the child's decoder."""
    return data + MARK + kind.encode()


def decode(data, limits, scaling=None, seed=b""):
    _, mark, kind = data.rpartition(MARK)
    if mark:
        _POISONS[kind.decode()]()
    return _decode(data, limits, scaling, seed)


def _bloat():
    grown = []
    while True:
        grown.append(bytearray(2**24))


def _spin():
    while True:
        pass


def _report():
    # What a compromised decoder could find.
    secrets = sorted(name for name in os.environ if "MODERATION" in name)
    heavy = sorted({"torch", "transformers", "sqlalchemy", "celery"} & sys.modules.keys())
    raise UndecodablePictureError(f"secrets: {secrets}, heavy: {heavy}")


def _quote():
    raise UndecodablePictureError("it begins with \0\x1b[2J\n\u202e")


_POISONS = {
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "abort": os.abort,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(0),
    "hang": lambda: time.sleep(3600),
    "spin": _spin,
    "bloat": _bloat,
    "babble": lambda: os.write(0, b"\0\0\0\x05\0\0\0\x01hello!"),
    "boast": lambda: os.write(0, b"\xff" * 8),
    "tell": _report,
    "quote": _quote,
}

if __name__ == "__main__":
    decoder_child.decode = decode
    decoder_child.main()
