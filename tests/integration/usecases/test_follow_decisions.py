"""Decisions are followed by id, and found by submission."""

from moderation_client.submission import LocalFile, Submission
from support.decided import POLICY, REVIEW
from support.decided_submission import add_decided

from worker.domain.moderation.picture import PictureFacts
from worker.usecases.moderation.follow_decisions import FollowDecisions


def add(database, name, facts=None):
    with database.transaction() as session:
        add_decided(session, Submission(name, LocalFile("a.png")), POLICY, REVIEW, facts=facts)


def test_only_later_decisions_follow_in_order(database):
    follow = FollowDecisions(database)
    assert (follow.newest(), follow.after(0)) == (0, [])
    add(database, "first")
    newest = follow.newest()
    add(database, "second")
    add(database, "third")
    assert [one.submission_id for one in follow.after(newest)] == ["second", "third"]
    assert follow.after(newest)[-1].id == follow.newest()
    assert [one.submission_id for one in follow.of(["third", "first", "unknown"])] == ["first", "third"]


def test_it_says_whether_the_bytes_were_judged(database):
    add(database, "unjudged")
    add(database, "judged", PictureFacts("a" * 64, "PNG", 1, 1, frames=1))
    assert [one.is_judged for one in FollowDecisions(database).after(0)] == [False, True]
