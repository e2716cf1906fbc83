"""The lines of the README with which a newcomer receives a webhook on their own machine, run as they stand."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.deployment import wait_for

ROOT = Path(__file__).parents[2]


def lines_of_the_readme() -> str:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Receive decisions\n")[1]
    return re.search(r"```\n(.+?)```", section, re.DOTALL)[1]


@pytest.fixture
def environment(tmp_path, redis_url):
    """Return an environment in which a newcomer's commands meet nobody else's Redis and database."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("MODERATION_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MODERATION_BROKER_URL": redis_url,
        "MODERATION_QUEUE": f"test-{tmp_path.name}",
        "MODERATION_DATABASE_URL": f"sqlite:///{tmp_path}/moderation.db",
        "MODERATION_MEDIA_ROOT": str(tmp_path),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_newcomer_receives_a_webhook_on_this_machine(tmp_path, environment):
    log, port = tmp_path / "terminal.log", free_port()
    commands = lines_of_the_readme().replace("9000", str(port))
    with log.open("wb") as terminal:
        process = subprocess.Popen(
            ["bash", "-ec", f"{commands}\nwait"],
            cwd=ROOT,
            env=environment,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        try:
            wait_for(
                lambda: re.search(
                    r"^[0-9a-f]{32} block policy decision\.made$", log.read_text(), re.MULTILINE
                ),
                what="the decision",
                seconds=240,
            )
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
    assert re.search(r"^test_\w+ block policy decision\.made$", log.read_text(), re.MULTILINE)
    assert f"to http://127.0.0.1:{port}/moderated: answered 204" in log.read_text()
