"""Statistics for a lead: the backlog, the throughput, and how often verdicts agree."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.domain.policies.policy import Action
from worker.domain.reviews.agreement import Agreement, Hits, agreement, hits
from worker.store.engine.clock import database_now, now_at
from worker.store.engine.database import Database
from worker.store.reviews import review_statistics as store
from worker.store.reviews.review_statistics import DayCount, GoldenAnswer, LabelCount, Looks, OpenByQueue


@dataclass(frozen=True, slots=True)
class Statistics:
    """The state of the queue, and the verdicts since a time."""

    #: In UTC.
    since: datetime
    #: By the names of the queues.
    backlog: Sequence[OpenByQueue]
    #: Oldest day first.
    throughput: Sequence[DayCount]
    #: By name.
    labels: Sequence[LabelCount]
    #: Agreement of first and second reviews: on the action, by label, and by reviewer.
    agreement: Agreement
    agreement_by_label: Mapping[str, Agreement]
    agreement_by_reviewer: Mapping[str, Agreement]
    #: Correct answers to golden items: by reviewer on the action, by label on whether it applies.
    golden_by_reviewer: Mapping[str, Hits]
    golden_by_label: Mapping[str, Hits]

    @property
    def verdicts(self) -> Mapping[Action, int]:
        """The number of verdicts with each action."""
        actions = (Action.ALLOW, Action.BLOCK)
        return {a: sum(one.count for one in self.throughput if one.action is a) for a in actions}


@dataclass(frozen=True, slots=True)
class ReviewStatistics:
    """Count open reviews, and the verdicts since a time."""

    database: Database

    def __call__(self, since: datetime) -> Statistics:
        """Return the statistics; reversed verdicts do not count."""
        with self.database.reading() as session:
            backlog = store.backlog(session, database_now(session))
            throughput = store.throughput(session, since)
            labels = store.labels(session, since)
            looks = store.second_looks(session, since)
            golden = store.golden_answers(session, since)
        return Statistics(
            since=since,
            backlog=backlog,
            throughput=throughput,
            labels=labels,
            agreement=agreement(map(_actions, looks)),
            agreement_by_label=dict(_agreement_by_label(looks)),
            agreement_by_reviewer=dict(_agreement_by_reviewer(looks)),
            golden_by_reviewer=dict(_golden_by_reviewer(golden)),
            golden_by_label=dict(_golden_by_label(golden)),
        )

    def of_last(self, span: timedelta) -> Statistics:
        """Return the statistics of the time until now, by the database's clock."""
        return self(now_at(self.database) - span)


def _actions(looks: Looks) -> tuple[Action, Action]:
    return looks.first.action, looks.second.action


def _agreement_by_label(looks: Sequence[Looks]) -> Iterator[tuple[str, Agreement]]:
    """Yield each label that a reviewer named, and how far reviewers agree on which pictures it applies to.

    Only pictures count under whose policy the label was named at least once.
    """
    named = [(one.policy, one.first.labels | one.second.labels) for one in looks]
    for label, policies in _by_label(named):
        asked = (one for one in looks if one.policy in policies)
        yield label, agreement((label in one.first.labels, label in one.second.labels) for one in asked)


def _agreement_by_reviewer(looks: Sequence[Looks]) -> Iterator[tuple[str, Agreement]]:
    """Yield each reviewer, and how far they agree with the other reviewer, first or second."""
    people = {name for one in looks for name in (one.first.reviewer, one.second.reviewer)}
    for name in sorted(people):
        own = [_actions(one) for one in looks if one.first.reviewer == name]
        others = [_actions(one)[::-1] for one in looks if one.second.reviewer == name]
        yield name, agreement([*own, *others])


def _golden_by_reviewer(golden: Sequence[GoldenAnswer]) -> Iterator[tuple[str, Hits]]:
    for name in sorted({one.given.reviewer for one in golden}):
        yield name, hits((one.given.action, one.action) for one in golden if one.given.reviewer == name)


def _golden_by_label(golden: Sequence[GoldenAnswer]) -> Iterator[tuple[str, Hits]]:
    named = [(one.policy, one.given.labels | one.labels) for one in golden]
    for label, policies in _by_label(named):
        asked = (one for one in golden if one.policy in policies)
        yield label, hits((label in one.given.labels, label in one.labels) for one in asked)


def _by_label(named: Iterable[tuple[str, frozenset[str]]]) -> list[tuple[str, set[str]]]:
    """Return each label with the policies under which it was named."""
    found: dict[str, set[str]] = {}
    for policy, labels in named:
        for label in labels:
            found.setdefault(label, set()).add(policy)
    return sorted(found.items())
