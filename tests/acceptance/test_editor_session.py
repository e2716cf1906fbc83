"""A policy editor's day, through the command line, beside a worker that is never restarted."""

import json
import shutil

import pytest
from moderation_demo import PICTURES
from support.deployment import deploy, wait_for

GAMBLING = """  gambling:
    prompts: [a slot machine, dice, playing cards, a joker card]
    review: 0.5
"""
UPLOADS = (
    "slot-machine.jpg",
    "dice.png",
    "panda-and-slot-machine.jpg",
    "joker-and-teapot.jpg",
    "kitchen-knife.jpg",
    "skull-and-candle.jpg",
    "cigarette.png",
    "pizza.jpg",
    "owl.jpg",
    "bicycle.jpg",
    "animated-hen-house.gif",
    "broken-upload.jpg",
)


@pytest.fixture
def deployment(tmp_path, redis_url):
    made = deploy(tmp_path, redis_url)
    for name in UPLOADS:
        shutil.copy(PICTURES / name, made.settings.media_root)
    yield made
    made.database.dispose()


@pytest.fixture
def run(moderate, deployment, monkeypatch):
    """Return `moderate policy ...` and its kin in this deployment's environment."""
    for name, value in deployment.environment.items():
        monkeypatch.setenv(name, value)
    return moderate


@pytest.fixture
def draft(deployment):
    """Return the policy with a category that it did not have, in a folder of its own, with its tests."""
    folder = deployment.folder / "drafts"
    folder.mkdir()
    shutil.copytree(deployment.settings.policies / "cases", folder / "cases")
    text = deployment.policy_file.read_text(encoding="utf-8")
    file = folder / deployment.policy_file.name
    file.write_text(text.replace("\nlabels:\n", f"\nlabels:\n{GAMBLING}", 1), encoding="utf-8")
    return file


def upload_all(run, deployment, reference):
    """Submit every upload and return what was decided, by file."""
    result = run("submit", deployment.settings.media_root, "--reference", reference)
    assert result.exit_code == 0, result.err
    ids = result.out.split()
    assert len(ids) == len(UPLOADS)
    paths = sorted(path.name for path in deployment.settings.media_root.iterdir())
    decided = {decision.submission_id: decision for decision in deployment.decided(ids)}
    return dict(zip(paths, (decided[submission_id] for submission_id in ids), strict=True))


def status(run):
    result = run("policy", "status", "--json")
    return result.exit_code, json.loads(result.out)["processes"]


def in_force(run, digest):
    """Return the states of the processes if all of them have this version of the policy in force."""
    _, processes = status(run)
    states = [s for process in processes for s in process["policies"] if s["policy"] == "stickers"]
    return states if states and all(state["version"] == digest for state in states) else None


@pytest.mark.slow
@pytest.mark.exhaustive
def test_an_editor_adds_a_category_proves_it_puts_it_live_and_breaks_it(run, deployment, draft):
    with deployment.worker() as worker:
        before = upload_all(run, deployment, "before")
        assert before["slot-machine.jpg"].action == "allow"

        assert run("policy", "check", draft).exit_code == 0
        tested = run("policy", "test", draft)
        assert (tested.exit_code, "12 of 12 tests passed" in tested.out) == (0, True)
        compared = json.loads(run("policy", "compare", "live", draft, "--json").out)
        would_flip = {flip["submission"] for flip in compared["flips"]}
        assert compared["compared"] == len(UPLOADS) - 1

        shutil.copy(draft, deployment.policy_file)
        digest = compared["new"]["digest"]
        wait_for(lambda: in_force(run, digest), what="the saved policy to be in force", seconds=30)
        after = upload_all(run, deployment, "after")
        flipped = {
            before[name].submission_id
            for name in UPLOADS
            if (before[name].action, before[name].flagged) != (after[name].action, after[name].flagged)
        }
        assert flipped == would_flip
        assert "gambling" in after["slot-machine.jpg"].flagged
        assert {decision.policy_digest for decision in after.values()} == {digest}

        text = deployment.policy_file.read_text(encoding="utf-8")
        deployment.policy_file.write_text(text.replace("review: 0.5", "treshold: 0.5", 1), encoding="utf-8")
        wait_for(lambda: status(run)[0] == 1, what="the broken file to be refused", seconds=30)
        told = run("policy", "status")
        assert 'unknown key "treshold"' in told.out
        assert f"version {digest[:12]} stays in force" in told.out
        again = upload_all(run, deployment, "broken")
        assert {decision.policy_digest for decision in again.values()} == {digest}

        explained = run("explain", after["slot-machine.jpg"].submission_id)
        assert (explained.exit_code, "identical" in explained.out) == (0, True)
        assert worker.poll() is None
