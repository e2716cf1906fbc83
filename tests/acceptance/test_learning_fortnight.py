"""A sticker team's fortnight: words, verdicts, suggestions, learning, and taking it back, by real commands."""

import csv
import io
import json
import random

import pytest
from moderation_client import LocalFile, Submission
from moderation_client.messages import MAX_SUBMISSIONS
from moderation_demo import PICTURES
from PIL import Image, ImageFilter, ImageOps
from support.deployment import deploy, wait_for

from worker.domain.accounts.reviewer import Reviewer, Role
from worker.domain.policies.policy import Action
from worker.domain.reviews.verdict import Answer
from worker.policy_files.parser import read_policy
from worker.store.policies import policy_states
from worker.store.reviews.review_search import ReviewFilters
from worker.wiring.review_desk import review_desk

#: Monday's words: few, with a background that is thin.
WORDS = """name: stickers
templates: ["a sticker of {}", "{}"]
background: [an ordinary picture, an everyday scene]
labels:
  weapons:
    prompts: [a pistol, an axe]
    lookalikes: [a hammer]
    block: {precision: 0.9}
  alcohol:
    prompts: [a glass of beer, a bottle of wine]
    review: {recall: 0.5}
audit: {share_of_allowed: 1}
"""
VARIANTS = 2


def pictures():
    """Yield names, files and true labels: the demo's pictures as other artists might draw them."""
    rng = random.Random(19)
    with (PICTURES / "contents.csv").open(newline="", encoding="utf-8") as table:
        rows = [(row["file"], set(row["labels"].split())) for row in csv.DictReader(table)]
    for file, labels in rows:
        if file.endswith((".gif", "empty.png")) or "upload" in file or "noise" in file or "not-a" in file:
            continue
        with Image.open(PICTURES / file) as opened:
            picture = opened.convert("RGB")
        for number in range(VARIANTS):
            yield f"{number}-{file}.png", as_drawn_by_another(picture, rng), labels


def as_drawn_by_another(picture, rng):
    hue, saturation, value = picture.convert("HSV").split()
    shift = rng.randrange(256)
    turned = Image.merge("HSV", (hue.point(lambda h: (h + shift) % 256), saturation, value)).convert("RGB")
    if rng.random() < 0.5:
        turned = ImageOps.mirror(turned)
    if rng.random() < 0.5:
        turned = turned.filter(ImageFilter.GaussianBlur(1.5))
    file = io.BytesIO()
    turned.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.exhaustive)])
def deployment(request, tmp_path, redis_url):
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    made = deploy(tmp_path, redis_url, url)
    made.policy_file.write_text(WORDS, encoding="utf-8")
    yield made
    made.database.dispose()


@pytest.mark.slow
def test_a_policy_gets_better_with_its_reviewers_verdicts(deployment, moderate):
    environment = {
        name.removeprefix("MODERATION_").lower(): value
        for name, value in deployment.environment.items()
        if name.startswith("MODERATION_")
    }

    def command(*arguments, exit_code=0):
        result = moderate(*arguments, **environment)
        assert result.exit_code == exit_code, result.err + result.out
        return result

    truth = {}
    for name, data, labels in pictures():
        truth[deployment.save_picture(name, data)] = labels & {"weapons", "alcohol"}
    monday = read_policy(deployment.policy_file)[0]
    with deployment.worker(), deployment.client() as client:
        submit(client, {name: name for name in truth})
        first = {one.submission_id: one for one in deployment.decided(list(truth))}
        assert "nothing to learn yet" in command("policy", "learn", "stickers").err
        answer_all(deployment, command, truth)

        shown = command("policy", "learn", "stickers", "--json")
        proposal = json.loads(shown.out)
        assert "nothing is changed" in shown.err
        assert proposal["labels"]["weapons"]["verdicts"] == len(truth)
        assert proposal["labels"]["weapons"]["adopted"] != "as it is"
        after, before = proposal["labels"]["weapons"]["after"], proposal["labels"]["weapons"]["before"]
        assert after["log_loss"] < before["log_loss"]
        assert (
            proposal["labels"]["weapons"]["block"]["score"]
            or proposal["labels"]["weapons"]["block"]["needed"] == 22
        )
        assert version_in_force(deployment) == monday.digest

        accepted = command("policy", "learn", "stickers", "--accept", "--as", "robin")
        learned = wait_for(
            lambda: version_in_force(deployment, other_than=monday.digest), what="the learned version"
        )
        assert learned[:12] in accepted.err
        again = {name: f"again-{name}" for name in truth}
        submit(client, again)
        second = {one.submission_id: one for one in deployment.decided(list(again.values()))}
        assert {one.policy_digest for one in second.values()} == {learned}
        wrong_before = mistakes(truth, {name: first[name].flagged for name in truth})
        wrong_after = mistakes(truth, {name: second[again[name]].flagged for name in truth})
        assert wrong_after < wrong_before, (wrong_before, wrong_after)
        assert any("what it learned adds" in one.reason for one in second.values())

        explained = json.loads(command("explain", again[next(iter(truth))], "--json").out)
        assert json.dumps(explained).count(learned)
        compared = command("policy", "compare", monday.digest[:12], learned[:12], "--json")
        assert json.loads(compared.out)

        command("policy", "learn", "stickers", "--take-back", "--as", "robin")
        wait_for(lambda: version_in_force(deployment) == monday.digest, what="the policy as its file says")
    assert "has learned nothing" in command("policy", "learn", "stickers", "--take-back", exit_code=2).err


def submit(client, ids):
    """Submit each file under its id."""
    every = [Submission(name, LocalFile(file)) for file, name in ids.items()]
    for start in range(0, len(every), MAX_SUBMISSIONS):
        client.submit_many(every[start : start + MAX_SUBMISSIONS])


def answer_all(deployment, command, truth):
    """Give the true verdict on every open review: the first ones as a person at the terminal does."""
    for _ in range(3):
        (one,) = json.loads(command("review", "claim", "--alone", "--as", "ada", "--json").out)
        answer = answer_of(truth[one["submission"]])
        flags = [word for label in sorted(answer.labels) for word in ("--label", label)]
        token = f"{one['review']}:{one['claim']}"
        command("review", "decide", token, answer.action.value, *flags, "--as", "ada")
    desk, ada = review_desk(deployment.settings, deployment.database), Reviewer("ada", Role.REVIEWER)
    while found := desk.claim(ada, ReviewFilters(), grouped=False):
        answer = answer_of(truth[found.review.decision.submission_id])
        desk.settle(ada, [found.review.token], answer, {"by": "terminal"})


def answer_of(labels):
    return Answer(Action.BLOCK if labels else Action.ALLOW, frozenset(labels))


def version_in_force(deployment, other_than=""):
    """Return the version that workers report, if it is not `other_than`."""
    with deployment.database.reading() as session:
        found = {state.digest for state in policy_states.of_policy(session, "stickers")}
    return next((digest for digest in found if digest != other_than), None)


def mistakes(truth, flagged):
    return sum(len(truth[name] ^ set(flagged[name])) for name in truth)
