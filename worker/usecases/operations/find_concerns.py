"""Finds what in a deployment needs a person, the gravest first, each with the command to run next."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from moderation_client.queue_depth import QueueDepth

from worker.domain.evaluation.wording import age, counted
from worker.domain.operations.backlog import PendingCount
from worker.domain.reviews.review import ReviewKind
from worker.errors import ModerationError
from worker.store.policies.policy_states import disagreements
from worker.store.submissions.dropped_messages import MOST_KEPT, DroppedSummary
from worker.usecases.operations.drift_wording import way_out_of_drift, what_drifts
from worker.usecases.operations.survey_deployment import Records, Survey

#: A submission is decided in seconds; after this long something is wrong.
UNDECIDED_FOR_LONG: Final = timedelta(minutes=5)
#: A rollout puts a policy in force everywhere within this time.
POLICY_FOR_LONG: Final = timedelta(seconds=30)
#: A receiver may be unavailable for a while; after this long a person should find out why.
UNDELIVERED_FOR_LONG: Final = timedelta(minutes=15)
#: Submissions that are due are republished within two seconds; after this long no process does it.
OVERDUE_FOR_LONG: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that needs a person."""

    what: str
    #: The command to run, or what to do next.
    way_out: str
    #: Whether the broker or the database could not be reached.
    is_outage: bool = False


def find_concerns(survey: Survey) -> list[Concern]:
    """Return what needs a person; empty if all is well."""
    found = [_outage(one) for one in (survey.records, survey.depth) if isinstance(one, ModerationError)]
    if isinstance(survey.records, Records):
        depth = survey.depth if isinstance(survey.depth, QueueDepth) else None
        found += _of_work(survey.records, depth)
        found += _of_resources(survey.records)
        found += _of_policies(survey.records)
        found += _of_scores(survey.records)
        found += _of_deliveries(survey.records, survey.at)
        found += _of_rejected_submissions(survey.records)
        found += _of_dropped_messages(survey.records.dropped)
    return found


def _outage(problem: ModerationError) -> Concern:
    return Concern(problem.message, problem.hint, is_outage=True)


def _of_work(records: Records, depth: QueueDepth | None) -> Iterator[Concern]:
    backlog = records.backlog
    if not backlog.workers:
        yield Concern("no worker is alive" + _what_waits(records, depth), "start one: moderate worker")
    elif depth and depth.waiting and depth.unacknowledged == 0:
        yield Concern(
            f"workers are alive, but none takes the {counted(depth.waiting, 'message')} on the queue",
            "see that MODERATION_BROKER_URL and MODERATION_QUEUE are theirs, else restart them: "
            "moderate worker",
        )
    elif _is_late(backlog.undecided, backlog.at, UNDECIDED_FOR_LONG):
        waited = age(backlog.undecided.seconds(backlog.at))
        yield Concern(
            f"{counted(backlog.undecided.count, 'submission')} undecided, the oldest for {waited}",
            "see whether it shrinks: moderate status --watch 5; if not, start more workers: moderate worker",
        )
    if backlog.workers and depth and _is_late(backlog.overdue, backlog.at, OVERDUE_FOR_LONG):
        due = counted(backlog.overdue.count, "submission")
        yield Concern(
            f"{due} due to be published again, but no process does so",
            "start moderate schedule, or let workers do it: MODERATION_SCHEDULE_IN_WORKERS=true",
        )
    if set_aside := backlog.set_aside.count:
        yield Concern(
            f"{counted(set_aside, 'message')} set aside, since the ledger cannot take them; "
            f"the oldest has been failing for {age(backlog.set_aside.seconds(backlog.at))}",
            "the workers' logs say why; they are published again once that is fixed",
        )
    if quarantined := backlog.reviews.get(ReviewKind.QUARANTINE, PendingCount()).count:
        yield Concern(
            f"{counted(quarantined, 'picture')} in quarantine, since workers died of them",
            "moderate decisions --action review",
        )


def _of_resources(records: Records) -> Iterator[Concern]:
    now = records.backlog.at
    for resource, waiting in records.backlog.waiting_for.items():
        why = records.why_waiting.get(resource) or "no worker reported why"
        yield Concern(
            f"{resource} is unavailable, {counted(waiting.count, 'submission')} waiting for it, "
            f"the oldest for {age(waiting.seconds(now))}: {why}",
            "restore it: nothing is lost, and what waits is judged within 10 minutes",
        )


def _what_waits(records: Records, depth: QueueDepth | None) -> str:
    waiting = [
        f"{counted(depth.waiting, 'message')} on the queue" if depth and depth.waiting else "",
        f"{counted(records.backlog.undecided.count, 'submission')} undecided"
        if records.backlog.undecided.count
        else "",
    ]
    listed = " and ".join(one for one in waiting if one)
    return f", {listed}" if listed else ""


def _of_policies(records: Records) -> Iterator[Concern]:
    refused = sorted({report.state.policy for report in records.awake if report.state.refusal})
    if refused:
        yield Concern(
            f"the saved file of {', '.join(refused)} is refused, an earlier version decides",
            "moderate policy status",
        )
    for policy, waiting in sorted(records.backlog.without_policy.items()):
        if _is_late(waiting, records.backlog.at, POLICY_FOR_LONG):
            yield Concern(
                f"{counted(waiting.count, 'submission')} for the policy {policy or '(default)'}, "
                f"which is not in force; the oldest waits for {age(waiting.seconds(records.backlog.at))}",
                f"put a good {policy}.yaml where the workers read policies: moderate policy status"
                if policy
                else "let MODERATION_POLICY name a policy that is in force: moderate policy status",
            )
    if split := sorted(disagreements(records.awake)):
        yield Concern(f"workers disagree about {', '.join(split)}", "moderate policy status")


def _of_scores(records: Records) -> Iterator[Concern]:
    now = records.backlog.at
    for report in records.scores:
        if report.drifts:
            yield Concern(what_drifts(report, now), way_out_of_drift(report, now))


def _of_deliveries(records: Records, now: datetime) -> Iterator[Concern]:
    backlog = records.backlog
    if backlog.given_up:
        yield Concern(
            f"{counted(backlog.given_up, 'event')} could not be delivered to the platform",
            "moderate outbox list, then moderate outbox replay",
        )
    if backlog.left_to_others:
        yield Concern(
            f"{counted(backlog.left_to_others, 'event')} for callbacks that no running process may deliver",
            "moderate outbox list; MODERATION_WEBHOOK_HOSTS and MODERATION_CALLBACK_TASKS must allow them in "
            "a worker or in moderate schedule",
        )
    if _is_late(backlog.outbox, now, UNDELIVERED_FOR_LONG):
        yield Concern(
            f"{counted(backlog.outbox.count, 'event')} not delivered to the platform yet, "
            f"the oldest for {age(backlog.outbox.seconds(now))}",
            "moderate outbox list; workers or moderate schedule deliver them",
        )


def _of_rejected_submissions(records: Records) -> Iterator[Concern]:
    happenings = records.happenings
    if number := happenings.conflicts.last_hour:
        yield Concern(
            f"{counted(number, 'submission')} came within the hour with the id of another picture",
            f"moderate explain {happenings.newest_conflict}, and ask the producer",
        )
    if number := happenings.refused.last_hour:
        yield Concern(
            f"{counted(number, 'submission')} refused within the hour: no policy can decide them",
            "moderate decisions shows why",
        )


def _of_dropped_messages(dropped: DroppedSummary) -> Iterator[Concern]:
    if dropped.since:
        at_least = "at least " if dropped.count >= MOST_KEPT else ""
        reasons = ", ".join(f"{count:,} {reason.value}" for reason, count in sorted(dropped.last_day.items()))
        yield Concern(
            f"{at_least}{counted(dropped.count, 'message')} dropped since "
            f"{dropped.since:%Y-%m-%d %H:%M} UTC ({reasons})",
            "moderate dropped list shows them; ask their producer",
        )


def _is_late(waiting: PendingCount, now: datetime, patience: timedelta) -> bool:
    return waiting.seconds(now) > patience.total_seconds()
