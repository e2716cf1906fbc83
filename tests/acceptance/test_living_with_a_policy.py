"""A real worker, its file broken, the worker killed and started again: the last good version decides throughout."""

import os
import signal
import socket
import urllib.request

import pytest
from moderation_client import InlineBytes
from moderation_demo import PICTURES
from support.deployment import deploy, wait_for

from worker.policy_files.parser import read_policy

#: Would send every picture to a person.
SHADOW = "name: strict\nbackground: [an ordinary picture]\nlabels: {all: {prompts: [a sticker], review: 0.000001}}\nshadow: true\n"


@pytest.fixture
def port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture
def deployment(tmp_path, redis_url, port):
    made = deploy(tmp_path, redis_url, metrics_port=port)
    (made.settings.policies / "strict.yaml").write_text(SHADOW, encoding="utf-8")
    yield made
    made.database.dispose()


@pytest.mark.slow
def test_a_broken_file_never_decides_even_across_a_restart(deployment, moderate, port):
    version = read_policy(deployment.policy_file)[0].digest

    def command(*arguments):
        return moderate("policy", *arguments, database_url=deployment.settings.database_url)

    def decided_by(name):
        with deployment.client() as client:
            submission = client.submit(InlineBytes((PICTURES / name).read_bytes()))
        return deployment.decided([submission])[0].policy_digest

    def metrics():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            return answer.read().decode()

    def refusal_shown():
        result = command("status")
        return result if result.exit_code == 1 else None

    with deployment.worker("first") as worker:
        assert decided_by("pizza.jpg") == version
        assert command("status").exit_code == 0
        in_force = (
            f'moderation_policy_in_force{{policy="stickers",shadow="false",version="{version[:12]}"}} 1.0'
        )
        assert in_force in metrics()
        assert 'moderation_policy_refused{policy="stickers"} 0.0' in metrics()
        decided = (
            f'moderation_decisions_total{{action="allow",policy="stickers",version="{version[:12]}"}} 1.0'
        )
        assert decided in metrics()
        assert 'moderation_shadow_decisions_total{action="review",policy="strict"} 1.0' in metrics()
        assert "1 more in " in command("shadow", "strict").out

        deployment.policy_file.write_text("name: stickers\nlabels: {weapons: {promts: [a gun]}}\n")
        shown = wait_for(refusal_shown, what="the refusal in moderate policy status")
        assert 'stickers.yaml:2:20: unknown key "promts"' in shown.out
        assert f"version {version[:12]} stays in force" in shown.out
        assert 'moderation_policy_refused{policy="stickers"} 1.0' in metrics()
        assert in_force in metrics()
        assert decided_by("owl.jpg") == version
        os.kill(worker.pid, signal.SIGKILL)

    with deployment.worker("second"):
        assert decided_by("cat.jpg") == version
        assert 'unknown key "promts"' in (deployment.folder / "second.log").read_text()
        wait_for(
            lambda: command("status", "--json").out.count('"process":') == 2,
            what="the second worker's report",
        )
        assert f"version {version[:12]} stays in force" in command("status").out

    # The one that was told to stop has taken itself off the list; the killed one could not.
    assert command("status", "--json").out.count('"process":') == 1
