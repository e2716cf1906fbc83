"""The command `moderate` for shells, forked from a process that has imported what commands need.

A command started from scratch needs seconds of CPU to import its libraries; a forked one needs a tenth. The file
`moderate` that a shell finds hands its arguments, its folder, its environment and its streams to the process.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from support.forked_worker import PRELOADED

from worker.cli.main import COMMANDS

TESTS = Path(__file__).parents[1]
#: Python without site-packages: it starts in a hundredth of a second.
CALLER = """#!{python} -IS
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode("utf-8", "surrogateescape")
socket.send_fds(server, [len(call).to_bytes(4, "big")], [0, 1, 2])
server.sendall(call)
answers = server.makefile()
process = int(answers.readline())
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: os.kill(process, number))
sys.exit(int(answers.readline() or 1))
"""


@contextmanager
def forked_commands(folder: Path) -> Iterator[Path]:
    """Yield a folder, for the beginning of PATH, with a `moderate` that starts fast."""
    address = folder / "commands.socket"
    caller = folder / "bin" / "moderate"
    caller.parent.mkdir()
    caller.write_text(CALLER.format(python=sys.executable, address=str(address)), encoding="utf-8")
    caller.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        server = subprocess.Popen(
            [sys.executable, "-m", "support.forked_commands", str(listener.fileno())],
            pass_fds=[listener.fileno()],
            env=os.environ | {"PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
            start_new_session=True,
        )
    try:
        yield caller.parent
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(30)


def serve(listener: socket.socket) -> None:
    """Fork a process for each call, which forks the command and waits for it."""
    # Nobody here waits for the first of the two.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        caller, _ = listener.accept()
        with caller:
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os._exit(_answer(caller))


def _answer(caller: socket.socket) -> int:
    size, streams, _, _ = socket.recv_fds(caller, 4, 3)
    arguments, folder, environment = json.loads(_received(caller, int.from_bytes(size, "big")))
    if (process := os.fork()) == 0:
        caller.close()
        _run(arguments, folder, environment, streams)
    for stream in streams:
        os.close(stream)
    caller.sendall(b"%d\n" % process)
    _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    with suppress(BrokenPipeError):
        caller.sendall(b"%d\n" % (code if code >= 0 else 128 - code))
    return 0


def _received(caller: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        received += caller.recv(size - len(received))
    return received


def _run(arguments: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> None:
    """Run the command in this process as if a shell had started it, and exit."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    sys.argv = ["moderate", *arguments]
    code = 1
    try:
        import_module("worker.cli.main").run()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:  # noqa: BLE001 - as Python does at the top
        sys.excepthook(*sys.exc_info())
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        with suppress(BrokenPipeError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    commands = [f"worker.cli.{module}" for module, _ in COMMANDS.values()]
    for name in (*PRELOADED, *commands, "uvicorn", "worker.web.app"):
        import_module(name)
    serve(socket.socket(fileno=int(sys.argv[1])))
