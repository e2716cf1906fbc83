"""Reports what shadow policies would have decided, compared with what was decided."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from worker.domain.policies.policy import Action
from worker.errors import UsageError
from worker.store.decisions import shadow_decisions
from worker.store.decisions.shadow_decisions import Difference, ShadowVersion
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database

A_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What one version of a shadow policy would have decided."""

    version: ShadowVersion
    #: {(decided, would be): count}.
    actions: Mapping[tuple[Action, Action], int]
    #: By label: the number of pictures on which it would be flagged.
    labels: Counter[str]
    #: The newest submissions that would be decided differently.
    differences: list[Difference]
    #: How long the version has run, within `--since`.
    span: timedelta

    @property
    def differing(self) -> int:
        """The number of submissions that would be decided differently."""
        return sum(count for (decided, would_be), count in self.actions.items() if decided != would_be)

    @property
    def reviews_decided(self) -> int:
        """The number of submissions that were sent to review."""
        return sum(n for (decided, _), n in self.actions.items() if decided is Action.REVIEW)

    @property
    def reviews_would_be(self) -> int:
        """The number of submissions that would have been sent to review."""
        return sum(n for (_, would_be), n in self.actions.items() if would_be is Action.REVIEW)

    @property
    def more_reviews_a_day(self) -> float:
        """The change in reviews per day; less than a day counts as one day."""
        return (self.reviews_would_be - self.reviews_decided) / max(self.span / A_DAY, 1.0)


@dataclass(frozen=True, slots=True)
class ReportShadows:
    """Read the reports of shadow policies."""

    database: Database

    def __call__(self, name: str | None, since: timedelta, limit: int) -> list[ShadowReport]:
        """Return a report for each version that scored jobs within `since`, with at most `limit` differences.

        UsageError if `name` is not a shadow policy that has ever scored a job.
        """
        with self.database.reading(unhurried=True) as session:
            now = database_now(session)
            found = shadow_decisions.versions(session, name=name, since=now - since)
            reports = [_report(session, version, now - since, now, limit) for version in found]
            known = shadow_decisions.names(session)
        if name is not None and name not in known:
            raise UsageError(
                f"no shadow policy {name!r} has scored a job; there are: {', '.join(known) or 'none'}",
                hint="a policy is a shadow while its file says `shadow: true`; see moderate policy status",
            )
        return reports


def _report(
    session: Session, version: ShadowVersion, since: datetime, now: datetime, limit: int
) -> ShadowReport:
    return ShadowReport(
        version,
        shadow_decisions.actions(session, version, since),
        shadow_decisions.labels(session, version, since),
        shadow_decisions.differences(session, version, since, limit),
        now - version.first_at,
    )
