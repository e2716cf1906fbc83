"""Finds labels that suddenly flag much more or less than before, or whose scores moved, and since when.

The uploads of the last day are compared with those of the week before it, and those of the last hours with
the same hours of those days: night and day differ, and that is no drift. At ten million uploads a day every
difference is significant, and at two hundred many are large: a drift is both.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.operations.label_activity import Counts, Hour, Series, quantile

DAY: Final = timedelta(days=1)
#: The reference: the uploads of a version in the days before the last one. Until it has a day of these, those
#: of the versions before it.
REFERENCE: Final = timedelta(days=7)
#: How far back hours are needed: the reference of a version that is two days old.
LOOKBACK: Final = REFERENCE + 2 * DAY
#: What is compared, and the factor by which the odds of a flag change: a large jump shows within hours, in
#: which uploads vary more than in a day. Odds, since a share above a third cannot triple.
SPANS: Final = ((timedelta(hours=6), 5.0), (DAY, 3.0))
#: Fewer uploads say nothing.
LEAST_UPLOADS: Final = 200
#: More flags are a drift from this difference of shares on: what is rare may triple without harm.
LEAST_RISE: Final = 0.02
#: Fewer flags are a drift if at least this number was to be expected.
LEAST_EXPECTED: Final = 20
#: Twice the log-likelihood ratio; chi-squared with 1 degree of freedom exceeds it once in 1.7 million.
SIGNIFICANT_FLAGS: Final = 25.0
#: The population stability index of a major shift; Siddiqi 2006, "Credit Risk Scorecards".
MAJOR_SHIFT: Final = 0.25
#: Chi-squared with 19 degrees of freedom, one for each bin but one, exceeds it four times in a million.
SIGNIFICANT_SHIFT: Final = 60.0
#: Neighbouring bins are merged until each has this share, or the smallest bins would make the index.
LEAST_BIN: Final = 0.05
#: The quantiles of scores that are reported.
QUANTILES: Final = (0.5, 0.9, 0.99)


class DriftKind(StrEnum):
    """What changed about a label."""

    MORE = "more"
    FEWER = "fewer"
    SHIFTED = "shifted"


@dataclass(frozen=True, slots=True)
class ScoreDrift:
    """A label that behaves differently, and since when."""

    kind: DriftKind
    #: The start of the first hour that differs; UTC.
    since: datetime
    #: The share of uploads that it flags since then, and flagged before; 0 to 1.
    share: float
    share_before: float
    #: Which quantile of the scores moved furthest, its value since then, and before; 0 to 1.
    moved: float
    quantile: float
    quantile_before: float
    #: Whether it changed when the version in force did.
    by_version: bool = False


@dataclass(frozen=True, slots=True)
class LabelReport:
    """One label in the last day."""

    label: str
    #: The share of uploads on which it is flagged, 0 to 1.
    share: float
    #: The same in the reference; None if there is no reference.
    share_before: float | None
    #: Of its scores, as in QUANTILES.
    quantiles: tuple[float, ...]
    drift: ScoreDrift | None = None


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """The labels of one policy in the last day, those that drift first, then by the share flagged."""

    policy: str
    #: The digest of the version in force.
    version: str
    #: The version in force before it, if the reference is of that one.
    version_before: str | None
    #: Judged in the last day.
    uploads: int
    labels: tuple[LabelReport, ...]

    @property
    def drifts(self) -> list[tuple[str, ScoreDrift]]:
        """The labels that drift."""
        return [(one.label, one.drift) for one in self.labels if one.drift]


def report_scores(hours: Iterable[Hour], now: datetime) -> list[PolicyReport]:
    """Return a report of each policy that judged uploads in the last day, by name."""
    by_policy = groupby(sorted(hours, key=lambda hour: (hour.policy, hour.at)), key=lambda hour: hour.policy)
    windows = (_windows(list(found), now) for _, found in by_policy)
    return [_report(found) for found in windows if found]


@dataclass(frozen=True)
class _Windows:
    """The hours that are compared; a version in force starts a new reference once it has one."""

    #: Empty if there is nothing to compare with.
    reference: Sequence[Hour]
    #: Between the two, of a version that is older than a day and has no reference yet.
    between: Sequence[Hour]
    recent: Sequence[Hour]
    now: datetime

    @cached_property
    def all(self) -> Sequence[Hour]:
        """All hours, in order."""
        return [*self.reference, *self.between, *self.recent]

    @property
    def version_before(self) -> str | None:
        """The version of the reference, if it is another one."""
        if not self.reference or self.reference[-1].version == self.recent[-1].version:
            return None
        return self.reference[-1].version

    @cached_property
    def comparisons(self) -> Sequence["_Comparison"]:
        """What can be compared."""
        return [found for span, factor in SPANS if (found := self._comparison(span, factor))]

    def _comparison(self, span: timedelta, factor: float) -> "_Comparison | None":
        new = [hour for hour in self.recent if hour.at > self.now - span]
        times = {hour.at.hour for hour in new}
        old = [place for place, hour in enumerate(self.reference) if hour.at.hour in times]
        if min(_uploads(new), _uploads([self.reference[place] for place in old])) < LEAST_UPLOADS:
            return None
        return _Comparison(slice(len(self.all) - len(new), None), old, factor)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The last hours, and the same hours of the reference's days, as indices of all hours."""

    new: slice
    old: Sequence[int]
    factor: float

    def of(self, counts: Counts) -> tuple[Counts, Counts]:
        """Return the sums of both, old and new; `counts` has shape (hours, kinds)."""
        return counts[self.old].sum(axis=0), counts[self.new].sum(axis=0)


def _windows(hours: Sequence[Hour], now: datetime) -> _Windows | None:
    """Return the windows of one policy, from hours in order of time; None if nothing is recent."""
    hours = _of_one_version_each(hours)
    started = _start_of_run(hours)
    before, run = hours[:started], hours[started:]
    older = [hour for hour in run if hour.at <= now - DAY]
    recent = run[len(older) :]
    if not recent:
        return None
    own = [hour for hour in older if hour.at > now - DAY - REFERENCE]
    if _is_reference(own, recent):
        return _Windows(own, (), recent, now)
    foreign = [hour for hour in before if hour.at >= run[0].at - REFERENCE]
    if _is_reference(foreign, run):
        return _Windows(foreign, older, recent, now)
    return _Windows((), (), recent, now)


def _of_one_version_each(hours: Sequence[Hour]) -> list[Hour]:
    """Return the version that judged most in each hour: during a rollout there are several."""
    each = groupby(hours, key=lambda hour: hour.at)
    return [max(found, key=lambda hour: hour.activity.uploads) for _, found in each]


def _start_of_run(hours: Sequence[Hour]) -> int:
    """Return the index from which on all hours have the last one's version."""
    start = len(hours)
    while start and hours[start - 1].version == hours[-1].version:
        start -= 1
    return start


def _is_reference(reference: Sequence[Hour], after: Sequence[Hour]) -> bool:
    """Whether it has enough uploads, and covers every hour of a day."""
    is_long = bool(reference) and after[0].at - reference[0].at >= DAY
    return is_long and _uploads(reference) >= LEAST_UPLOADS


def _uploads(hours: Sequence[Hour]) -> int:
    return sum(hour.activity.uploads for hour in hours)


def _report(windows: _Windows) -> PolicyReport:
    uploads = _uploads(windows.recent)
    series = Series.of(windows.all)
    of_version = _labels_of_version(windows)
    labels = [
        _label_report(windows, label, flagged, scores)
        for label, flagged, scores in zip(series.labels, series.flags, series.scores, strict=True)
        if label in of_version
    ]
    labels.sort(key=lambda one: (one.drift is None, -one.share, one.label))
    last = windows.recent[-1]
    return PolicyReport(last.policy, last.version, windows.version_before, uploads, tuple(labels))


def _labels_of_version(windows: _Windows) -> set[str]:
    """Return the labels that the version in force has, as far as they were seen."""
    hours = windows.recent if windows.version_before else windows.all
    return {label for hour in hours for label in hour.activity.rows}


def _label_report(windows: _Windows, label: str, flagged: Counts, scores: Counts) -> LabelReport:
    """Report on a label; `flagged` and `scores` have a row for each hour."""
    kind = _kind_of_drift(windows, flagged, scores)
    recent, before = slice(-len(windows.recent), None), slice(len(windows.reference))
    return LabelReport(
        label,
        _share(flagged[recent].sum(axis=0)),
        _share(flagged[before].sum(axis=0)) if windows.reference else None,
        tuple(quantile(scores[recent].sum(axis=0), share) for share in QUANTILES),
        _describe(windows, kind, flagged, scores) if kind else None,
    )


def _kind_of_drift(windows: _Windows, flagged: Counts, scores: Counts) -> DriftKind | None:
    for one in windows.comparisons:
        if kind := _change_of_flags(*one.of(flagged), one.factor):
            return kind
    # Another version has other phrases or thresholds: its scores are meant to differ.
    if windows.version_before is None and any(_is_shifted(*one.of(scores)) for one in windows.comparisons):
        return DriftKind.SHIFTED
    return None


def _describe(windows: _Windows, kind: DriftKind, flagged: Counts, scores: Counts) -> ScoreDrift:
    """Find the first hour that differs, and compare all hours from it on with those before."""
    is_shift = kind is DriftKind.SHIFTED
    first = _first_changed(scores) if is_shift else _first_changed(flagged, rises=kind is DriftKind.MORE)
    low, high = scores[:first].sum(axis=0), scores[first:].sum(axis=0)
    pairs = [(share, quantile(high, share), quantile(low, share)) for share in QUANTILES]
    return ScoreDrift(
        kind,
        windows.all[first].at,
        _share(flagged[first:].sum(axis=0)),
        _share(flagged[:first].sum(axis=0)),
        *max(pairs, key=lambda pair: abs(_logit(pair[1]) - _logit(pair[2]))),
        # The hour in which the version changed counts as the one that judged more in it.
        by_version=windows.version_before is not None and abs(first - len(windows.reference)) <= 1,
    )


def _change_of_flags(old: Counts, new: Counts, factor: float) -> DriftKind | None:
    """Compare the flagged and unflagged uploads of two windows, each of shape (2,)."""
    if 2 * (_likelihood(old) + _likelihood(new) - _likelihood(old + new)) < SIGNIFICANT_FLAGS:
        return None
    share, before = _share(new), _share(old)
    # Products, since the odds of what is always or never flagged are infinite or 0.
    if new[0] * old[1] >= factor * old[0] * new[1] and share - before >= LEAST_RISE:
        return DriftKind.MORE
    if old[0] * new[1] >= factor * new[0] * old[1] and before * new.sum() >= LEAST_EXPECTED:
        return DriftKind.FEWER
    return None


def _is_shifted(old: Counts, new: Counts) -> bool:
    """Whether the distribution of scores moved far, and further than chance moves it.

    The population stability index of two samples of one distribution is about chi-squared times the sum of
    the reciprocals of their sizes: Yurdakul 2018, "Statistical Properties of Population Stability Index".
    """
    by_chance = SIGNIFICANT_SHIFT * (1 / old.sum() + 1 / new.sum())
    return stability_index(old, new) > max(MAJOR_SHIFT, float(by_chance))


def stability_index(old: Counts, new: Counts) -> float:
    """Return the population stability index of two histograms, each of shape (bins,); 0 if they are alike.

    `sum((p - q) * ln(p / q))`: the symmetric divergence of Kullback and Leibler 1951, after small bins are
    merged; half an upload is added to each bin, since an empty one would make it infinite.
    """
    old, new = _merged(old, new)
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (old, new))
    return float(((p - q) * np.log(p / q)).sum())


def _merged(old: Counts, new: Counts) -> tuple[Counts, Counts]:
    """Merge neighbouring bins until each has LEAST_BIN of the two distributions' mean."""
    mean = (old / old.sum() + new / new.sum()) / 2
    starts, mass = [0], 0.0
    for place, share in enumerate(mean):
        if mass >= LEAST_BIN and mean[place:].sum() >= LEAST_BIN:
            starts, mass = [*starts, place], 0.0
        mass += float(share)
    return np.add.reduceat(old, starts), np.add.reduceat(new, starts)


def _first_changed(counts: Counts, *, rises: bool | None = None) -> int:
    """Return the index of the first hour that differs from those before it; shape (hours, kinds).

    With `rises`, the share of the first kind is higher, or is lower, from that hour on.

    The most likely place at which one distribution was replaced by another: Hinkley and Hinkley 1970,
    "Inference about the change-point in a sequence of binomial variables".
    """
    before = counts.cumsum(axis=0)[:-1]
    after = counts.sum(axis=0) - before
    likelihood = _likelihood(before) + _likelihood(after)
    if rises is not None:
        is_higher = after[:, 0] * before.sum(axis=1) > before[:, 0] * after.sum(axis=1)
        likelihood = np.where(is_higher == rises, likelihood, -np.inf)
    return int(likelihood.argmax()) + 1


def _likelihood(counts: Counts) -> NDArray[np.float64]:
    """Return the largest log-likelihood of counts of several kinds, without what no split changes."""
    likelihood: NDArray[np.float64] = _times_log(counts).sum(axis=-1) - _times_log(counts.sum(axis=-1))
    return likelihood


def _times_log(counts: Counts) -> NDArray[np.float64]:
    return np.asarray(counts * np.log(np.maximum(counts, 1)), np.float64)


def _share(flagged: Counts) -> float:
    """Return the share of flagged among flagged and unflagged uploads."""
    return float(flagged[0] / flagged.sum())


def _logit(score: float) -> float:
    return float(np.log(score / (1 - score)))
