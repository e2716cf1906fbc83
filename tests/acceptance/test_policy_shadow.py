"""`moderate policy shadow`: what a shadow would have done, beside what was done."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from worker.domain.policies.policy import Action
from worker.store.engine.tables import DecisionRow, PolicyVersionRow, ShadowDecisionRow, SubmissionRow

LIVE, SHADOW = "1" * 64, "2" * 64
#: Decided, would be, how often.
JOBS = ((Action.ALLOW, Action.ALLOW, 5), (Action.ALLOW, Action.REVIEW, 6), (Action.REVIEW, Action.BLOCK, 2))


@pytest.fixture
def _thirteen_jobs(sqlite_database):
    moment = datetime.now(UTC) - timedelta(days=2)
    with sqlite_database.transaction() as session:
        for digest, name in ((LIVE, "posts"), (SHADOW, "strict")):
            session.add(PolicyVersionRow(digest=digest, name=name, text=""))
        pairs = [(decided, would_be) for decided, would_be, count in JOBS for _ in range(count)]
        for n, (decided, would_be) in enumerate(pairs, start=1):
            flagged = [] if would_be is Action.ALLOW else ["weapons"]
            common = {"submission_id": f"upload-{n}", "severity": 4 * bool(flagged), "created_at": moment}
            session.add(SubmissionRow(id=f"upload-{n}", reference=f"post-{n}", state="decided"))
            session.flush()
            session.add(
                DecisionRow(
                    id=n,
                    policy="posts",
                    policy_digest=LIVE,
                    model="demo",
                    model_digest="m",
                    action=decided,
                    labels=[],
                    reason="",
                    **common,
                )
            )
            session.flush()
            session.add(
                ShadowDecisionRow(
                    decision_id=n,
                    policy="strict",
                    policy_digest=SHADOW,
                    action=would_be,
                    labels=flagged,
                    reason=f"weapons 0.9{n}",
                    **common,
                )
            )


def shadow(moderate, *arguments):
    result = moderate("policy", "shadow", *arguments)
    return result, [" ".join(line.split()) for line in result.out.splitlines()]


@pytest.mark.usefixtures("_thirteen_jobs")
def test_it_shows_the_actions_the_reviews_the_labels_and_where_they_differ(moderate):
    result, lines = shadow(moderate, "strict", "--limit", "3")
    assert result.exit_code == 0
    assert lines[0].startswith("strict, version 222222222222: 13 jobs, from ")
    assert "decided would be allow would be review would be block" in lines
    assert [line for line in lines if line.split()[0:1] in (["allow"], ["review"], ["block"])] == [
        "allow 5 6 0",
        "review 0 0 2",
        "block 0 0 0",
    ]
    assert "reviews: 2 decided, 6 would be: 4 more in 2 days, 2.0 more a day" in lines
    assert "weapons 8" in lines
    assert "8 would be decided differently, the newest 3 of them:" in lines
    assert "upload-13 post-13 posts review block weapons 0.913" in lines
    assert not any("upload-10" in line for line in lines)


@pytest.mark.usefixtures("_thirteen_jobs")
def test_json_has_the_same(moderate):
    result, _ = shadow(moderate, "--json", "--limit", "1")
    (report,) = json.loads(result.out)
    assert (report["policy"], report["version"], report["jobs"]) == ("strict", SHADOW, 13)
    assert report["actions"] == [
        {"decided": "allow", "would_be": "allow", "count": 5},
        {"decided": "allow", "would_be": "review", "count": 6},
        {"decided": "review", "would_be": "block", "count": 2},
    ]
    assert report["labels"] == {"weapons": 8}
    assert (report["reviews_decided"], report["reviews_would_be"], report["differing"]) == (2, 6, 8)
    assert report["more_reviews_a_day"] == pytest.approx(2, abs=0.1)
    (difference,) = report["differences"]
    assert (difference["submission_id"], difference["would_be"]) == ("upload-13", "block")


@pytest.mark.usefixtures("_thirteen_jobs")
def test_what_was_longer_ago_is_left_out(moderate):
    result, _ = shadow(moderate, "--since", "12h")
    assert (result.exit_code, result.out) == (0, "")
    assert "no shadow policy has scored a job within 12 hours" in result.err


@pytest.mark.usefixtures("_thirteen_jobs")
def test_a_shadow_that_never_was_is_named_with_those_that_were(moderate):
    result, _ = shadow(moderate, "strickt")
    assert result.exit_code == 2
    assert "no shadow policy 'strickt' has scored a job; there are: strict" in result.err


@pytest.mark.usefixtures("sqlite_database")
def test_without_any_shadow_it_says_how_to_have_one(moderate):
    result, _ = shadow(moderate)
    assert result.exit_code == 0
    assert "`shadow: true`" in result.err


@pytest.mark.usefixtures("sqlite_database")
def test_a_span_of_no_form_is_wrong_usage(moderate):
    result, _ = shadow(moderate, "--since", "yesterday")
    assert result.exit_code == 2
    assert "30d" in result.err
