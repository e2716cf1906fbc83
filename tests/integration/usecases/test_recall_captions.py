"""Texts of submissions, judged with the bundled model and recorded on both databases."""

import json
from dataclasses import replace

import numpy as np
import pytest
from moderation_client.submission import InlineBytes, Submission
from moderation_demo import PICTURES

from worker.domain.policies.policy import Action
from worker.settings import Settings
from worker.store.decisions import decisions
from worker.store.engine.database import Database
from worker.store.reviews import verdicts
from worker.store.reviews.verdicts import Verdict
from worker.store.submissions import captions
from worker.usecases.learning.load_learned import LoadLearned
from worker.usecases.policies.explain_decision import ExplainDecision, Explanation
from worker.wiring.worker_service import Service, open_service

SKULL = InlineBytes((PICTURES / "skull-and-candle.jpg").read_bytes())
#: The picture alone scores 0.13.
CAPTIONED = """
name: captioned
templates: ["a sticker of {}", "a picture of {}"]
background: [a pizza, an owl, a bicycle, a house, a person]
labels:
  weapons:
    prompts: [a rifle, a sword]
    words: [ak-47, 枪]
    review: 0.3
    block: 0.9
text: true
"""
DEAF = (
    CAPTIONED.replace("text: true", "").replace("    words: [ak-47, 枪]\n", "").replace("captioned", "deaf")
)
SHADOW = f"{CAPTIONED.replace('captioned', 'shadow')}shadow: true\n"
WITH_A_WORD = "cheap AK-47\nfor sale"
WITH_A_MEANING = "a rifle"


def submission(name: str, text: str = "", policy: str = "captioned") -> Submission:
    return Submission(name, SKULL, policy=policy, text=text)


@pytest.fixture(scope="module")
def service(kept_database, tmp_path_factory):
    policies = tmp_path_factory.mktemp("policies")
    for name, text in (("captioned", CAPTIONED), ("deaf", DEAF), ("shadow", SHADOW)):
        (policies / f"{name}.yaml").write_text(text, encoding="utf-8")
    with open_service(
        Settings.read(database_url=url_of(kept_database), policies=policies, policy="deaf")
    ) as made:
        yield made


def url_of(database: Database) -> str:
    return database.address.url.render_as_string(hide_password=False)


def judged(service: Service, what: Submission) -> decisions.RecordedDecision:
    service.moderate_image(what)
    with service.database.reading() as session:
        return decisions.of_submissions(session, [what.id])[-1]


def is_same(explanation: Explanation) -> bool:
    return explanation.again is not None and not explanation.differences


def stored(service: Service, name: str) -> tuple[str, np.ndarray | None]:
    with service.database.reading() as session:
        return captions.find(session, [name], service.moderate_image.judge_picture.digest)[name]


def explained(service: Service, name: str) -> Explanation:
    digest = service.moderate_image.judge_picture.digest
    learned = LoadLearned(service.database, digest)
    explain = ExplainDecision(service.database, service.encoder, digest, learned)
    (explanation,) = explain(name)
    return explanation


def test_a_word_raises_the_score_and_the_reason_says_which(service):
    alone = judged(service, submission("alone"))
    with_text = judged(service, submission("word", WITH_A_WORD))
    assert (alone.action, with_text.action) == (Action.ALLOW, Action.REVIEW)
    assert '; its text adds 2.0 (the word "ak-47")' in with_text.reason
    assert "for sale" not in with_text.reason
    assert (with_text.text, with_text.scores[0].text.added) == (WITH_A_WORD, 2.0)
    assert with_text.scores[0].alone == pytest.approx(alone.scores[0].score)


def test_a_meaning_brings_the_score_to_the_block_and_never_over_it(service):
    decision = judged(service, submission("meaning", WITH_A_MEANING))
    assert decision.action is Action.REVIEW
    assert decision.scores[0].score == np.nextafter(0.9, 0)
    assert decision.reason.endswith("(its meaning), and no text alone reaches block")


def test_a_policy_that_reads_no_texts_ignores_them(service):
    alone = judged(service, submission("unread-alone", policy="deaf"))
    with_text = judged(service, submission("unread", WITH_A_WORD, policy="deaf"))
    assert with_text.scores == alone.scores
    assert with_text.reason == alone.reason
    assert stored(service, "unread") == (WITH_A_WORD, None)
    assert is_same(explained(service, "unread"))


def test_a_shadow_reads_the_text_beside_a_policy_that_does_not(service, moderate):
    judged(service, submission("shadowed", WITH_A_WORD, policy="deaf"))
    result = moderate("policy", "shadow", "shadow", "--json", database_url=url_of(service.database))
    assert 'the word \\"ak-47\\"' in result.out


@pytest.mark.parametrize("text", [WITH_A_WORD, WITH_A_MEANING, "nice day", "...", "枪 🔫 " * 100, "x" * 2000])
def test_a_decision_is_derived_again_with_its_text(service, text):
    name = f"again-{len(text)}"
    decision = judged(service, submission(name, text))
    explanation = explained(service, name)
    assert is_same(explanation), explanation
    assert (explanation.again.reason, explanation.recorded.text) == (decision.reason, text)
    again = judged(service, replace(submission(f"{name}-2", text), source=SKULL))
    assert again.scores == decision.scores


def test_people_see_the_text_and_what_it_added(service, moderate):
    judged(service, submission("shown", WITH_A_WORD))
    result = moderate("explain", "shown", database_url=url_of(service.database))
    assert r"text cheap AK-47\nfor sale" in result.out
    assert "+2.00  ak-47" in result.out
    assert "identical" in result.out


def test_an_erased_text_is_said_where_it_mattered(service):
    for name, text in (("erased", WITH_A_WORD), ("erased-for-nothing", "nice day")):
        judged(service, submission(name, text))
        with service.database.transaction() as session:
            captions.erase(session, [name])
    assert explained(service, "erased").obstacle == "the text that added to its scores is no longer kept"
    assert is_same(explained(service, "erased-for-nothing"))


def test_a_verdict_on_the_picture_clears_no_text(service):
    """Whoever allows a picture has not seen what is written beside it next time."""
    alone = judged(service, submission("allowed"))
    with service.database.transaction() as session:
        verdict = Verdict("allowed", Action.ALLOW, frozenset())
        verdicts.record(session, verdict, decision_id=alone.id, reviewer="ada")
    judged(service, submission("heir", "nice day"))
    judged(service, submission("no-heir", WITH_A_WORD))
    with service.database.reading() as session:
        assert verdicts.latest_of(session, ["heir", "no-heir"]).keys() == {"heir"}


def test_a_text_that_breaks_the_model_does_not_keep_the_picture_from_being_judged(
    service, monkeypatch, caplog
):
    def fail(_texts):
        raise RuntimeError("the tokenizer panics")

    judge_picture = service.moderate_image.judge_picture
    monkeypatch.setattr(judge_picture.encoder, "encode_captions", fail)
    decision = judged(service, submission("broken", WITH_A_WORD))
    assert decision.scores[0].text.added == 2.0
    assert "the text of a submission cannot be encoded; only its words count" in caplog.text
    assert "cheap" not in caplog.messages[-1]


def test_compare_judges_the_archive_with_its_texts(service, moderate, tmp_path):
    judged(service, submission("compared", WITH_A_WORD, policy="deaf"))
    judged(service, submission("compared-alone", policy="deaf"))
    drafts = tmp_path
    for name, text in (("deaf", DEAF), ("captioned", CAPTIONED)):
        (drafts / f"{name}.yaml").write_text(text, encoding="utf-8")
    result = moderate(
        *(
            "policy",
            "compare",
            drafts / "deaf.yaml",
            drafts / "captioned.yaml",
            "--policy",
            "deaf",
            "--json",
        ),
        database_url=url_of(service.database),
        policies=drafts,
    )
    assert result.exit_code == 0, result.err
    flips = {flip["submission"]: flip for flip in json.loads(result.out)["flips"]}
    assert "compared" in flips
    assert "compared-alone" not in flips
    assert flips["compared"]["new"]["action"] == "review"
    assert 'the word "ak-47"' in flips["compared"]["new"]["reason"]
