"""Captions are kept with their submissions, and erased as a whole, on both databases."""

from dataclasses import replace

import numpy as np
from support.store_records import FACTS, MODEL_DIGEST, POLICY, REVIEW, WEAPONS, record, submission

from worker.domain.moderation.additions import TextPart
from worker.domain.policies.policy import Action
from worker.store.decisions import decisions
from worker.store.engine.tables import CaptionVectorRow
from worker.store.reviews import verdicts
from worker.store.reviews.verdicts import Verdict
from worker.store.submissions import captions, submissions

CAPTIONED = replace(submission(), text="cheap ak47\nfor sale")
VECTOR = np.array([0.25, -1.0, 0.5], np.float32)


def test_a_caption_and_its_vector_come_back(database):
    record(database, CAPTIONED)
    record(database, submission("upload-2"))
    with database.transaction() as session:
        captions.keep(session, MODEL_DIGEST, {"upload-1": VECTOR})
        captions.keep(session, MODEL_DIGEST, {"upload-1": VECTOR + 1})
    with database.reading() as session:
        found = captions.find(session, ["upload-1", "upload-2", "upload-3"], MODEL_DIGEST)
        of_another_model = captions.find(session, ["upload-1"], "another model")
        assert submissions.find(session, "upload-1").text == CAPTIONED.text
        assert submissions.find(session, "upload-2").text == ""
    assert found.keys() == {"upload-1"}
    text, vector = found["upload-1"]
    assert text == CAPTIONED.text
    np.testing.assert_array_equal(vector, VECTOR)
    assert of_another_model == {"upload-1": (CAPTIONED.text, None)}


def test_what_is_erased_is_nowhere_any_more(database):
    record(database, CAPTIONED)
    record(database, replace(CAPTIONED, id="upload-2"))
    with database.transaction() as session:
        captions.keep(session, MODEL_DIGEST, {"upload-1": VECTOR, "upload-2": VECTOR})
        captions.keep(session, "another model", {"upload-1": VECTOR})
    with database.transaction() as session:
        captions.erase(session, ["upload-1"])
    with database.reading() as session:
        assert captions.find(session, ["upload-1", "upload-2"], MODEL_DIGEST).keys() == {"upload-2"}
        assert [row.submission_id for row in session.query(CaptionVectorRow)] == ["upload-2"]
        assert submissions.find(session, "upload-1").text == ""


def decided_by_text(database, name):
    """Record a decision whose flag the text raised; return its id."""
    score = replace(WEAPONS, text=TextPart(1.5, 0.4))
    return record(database, replace(CAPTIONED, id=name), decision=replace(REVIEW, scores=(score,)))


def test_what_a_text_added_comes_back_with_the_score(database):
    decision_id = decided_by_text(database, "upload-1")
    with database.reading() as session:
        (score,) = decisions.get(session, decision_id).scores
    assert score.text.added == 1.5
    assert score.alone < score.score


def test_a_verdict_on_what_a_text_flagged_is_inherited_by_no_other_upload(database):
    flagged_by_text, flagged_alone = (
        decided_by_text(database, "upload-1"),
        record(database, submission("upload-2")),
    )
    picture = (FACTS.sha256, POLICY.digest)
    with database.transaction() as session:
        verdicts.record(
            session,
            Verdict("upload-1", Action.BLOCK, frozenset({"weapons"})),
            decision_id=flagged_by_text,
            reviewer="ada",
        )
        assert not verdicts.to_inherit(session, [picture])
        verdicts.record(
            session, Verdict("upload-2", Action.ALLOW, frozenset()), decision_id=flagged_alone, reviewer="ada"
        )
        assert verdicts.to_inherit(session, [picture])[picture].action is Action.ALLOW
