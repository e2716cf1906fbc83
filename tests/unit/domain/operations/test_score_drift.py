"""Drift of labels: what is seen and since when, and that chance, night and day and small numbers are not."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import chi2

from worker.domain.operations.label_activity import BINS, COLUMNS, Activity, Hour
from worker.domain.operations.score_drift import (
    LOOKBACK,
    SIGNIFICANT_FLAGS,
    SIGNIFICANT_SHIFT,
    DriftKind,
    report_scores,
    stability_index,
)

HOUR = timedelta(hours=1)
#: A Thursday.
NOW = datetime(2026, 1, 15, 2, 20, tzinfo=UTC)
THIS_HOUR = NOW.replace(minute=0)
TUESDAY = datetime(2026, 1, 13, 14, tzinfo=UTC)
V1, V2 = "a" * 64, "b" * 64
#: Scores of a rare label: most are near 0, and the last bins are flagged.
USUAL = np.exp(-0.5 * ((np.arange(BINS) - 4) / 2.5) ** 2)


class Stream:
    """Makes the hours of a policy's uploads, drawn at random."""

    def __init__(self, seed=0, per_day=20_000):
        self.random = np.random.default_rng(seed)
        self.per_day = per_day

    def hours(
        self, share_at, *, bins_at=lambda _at: USUAL, version_at=lambda _at: V1, labels=("explosives",)
    ):
        """Return the hours of nine days; at night there are few uploads, and half as many are flagged."""
        times = [THIS_HOUR - n * HOUR for n in reversed(range(LOOKBACK // HOUR))]
        day = 0.5 - 0.5 * np.cos(2 * np.pi * np.array([at.hour for at in times]) / 24)
        uploads = 1 + self.random.poisson(self.per_day / 24 * (0.1 + 1.8 * day))
        shares = np.minimum(1, np.array([share_at(at) for at in times]) * (0.65 + 0.7 * day))
        bins = np.array([bins_at(at) for at in times])
        counts = np.empty((len(times), len(labels), COLUMNS), np.int64)
        for number in range(len(labels)):
            counts[:, number, 0] = self.random.binomial(uploads, shares)
            counts[:, number, 1:] = self.random.multinomial(uploads, bins / bins.sum(axis=1, keepdims=True))
        return [
            Hour(at, "default", version_at(at), Activity.of(count, labels, found))
            for at, count, found in zip(times, uploads.tolist(), counts, strict=True)
        ]


def after(moment, before, then):
    return lambda at: then if at >= moment else before


def drift(hours, now=NOW):
    """Return the only policy's only drift, or None."""
    (report,) = report_scores(hours, now)
    assert len(report.drifts) <= 1
    return report.drifts[0][1] if report.drifts else None


@pytest.mark.parametrize(("per_day", "share"), [(250, 0.01), (20_000, 0.001), (10_000_000, 0.3)])
def test_a_steady_stream_raises_no_alarm_in_99_of_100_runs(per_day, share):
    labels = ("explosives", "weapons")
    alarms = 0
    for seed in range(100):
        (report,) = report_scores(Stream(seed, per_day).hours(lambda _at: share, labels=labels), NOW)
        alarms += bool(report.drifts)
    assert alarms <= 1


def test_a_stream_of_bursts_raises_no_alarm_in_99_of_100_runs():
    """Memes come and go: the share of an hour varies by half, that of a day by a fifth, and weekends differ."""
    alarms = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        of_hours, of_days = (np.exp(random.normal(0, sigma, 300)) for sigma in (0.5, 0.2))

        def share(at, of_hours=of_hours, of_days=of_days):
            ago = (NOW - at) // HOUR
            return 0.05 * of_hours[ago] * of_days[ago // 24] * (1.5 if at.weekday() >= 5 else 1)

        (report,) = report_scores(Stream(seed, 1_000_000).hours(share), NOW)
        alarms += bool(report.drifts)
    assert alarms <= 1


@pytest.mark.parametrize("per_day", [2000, 10_000_000])
def test_a_label_that_flags_18_per_cent_since_tuesday_and_1_before_is_seen(per_day):
    for seed in range(10):
        found = drift(Stream(seed, per_day).hours(after(TUESDAY, 0.01, 0.18)))
        assert (found.kind, found.by_version) == (DriftKind.MORE, False)
        assert abs(found.since - TUESDAY) <= (2 * HOUR if per_day < 10_000 else timedelta())
        assert found.share == pytest.approx(0.2, rel=0.2)
        assert found.share_before == pytest.approx(0.01, rel=0.3)


def test_a_jump_is_seen_within_hours():
    assert drift(Stream().hours(after(THIS_HOUR - 3 * HOUR, 0.01, 0.18))).since == THIS_HOUR - 3 * HOUR
    assert drift(Stream().hours(after(THIS_HOUR - HOUR, 0.01, 0.0))) is None


def test_a_label_that_flags_nothing_any_more_is_seen():
    found = drift(Stream().hours(after(TUESDAY, 0.01, 0.0)))
    assert (found.kind, found.share) == (DriftKind.FEWER, 0)
    assert abs(found.since - TUESDAY) <= 2 * HOUR


def test_a_label_that_flags_everything_is_seen_even_if_its_share_cannot_triple():
    assert drift(Stream().hours(after(TUESDAY, 0.47, 1.0))).kind is DriftKind.MORE


def test_scores_that_collapse_are_seen_if_a_label_is_too_rare_to_miss_its_flags():
    broken = np.eye(BINS)[0]
    found = drift(Stream(per_day=500).hours(lambda _at: 0.0, bins_at=after(TUESDAY, USUAL, broken)))
    assert (found.kind, found.since) == (DriftKind.SHIFTED, TUESDAY)
    assert found.quantile < 0.001
    assert found.quantile_before > 0.1


@pytest.mark.parametrize(
    "share_at",
    [
        after(TUESDAY, 0.01, 0.028),  # significant, but less than three times
        after(TUESDAY, 0.001, 0.012),  # twelve times, but rare
        after(TUESDAY, 0.05, 0.025),  # half
    ],
)
def test_a_change_that_is_significant_but_small_is_no_drift(share_at):
    assert drift(Stream(per_day=1_000_000).hours(share_at)) is None


@pytest.mark.parametrize("per_day", [20, 100])
def test_few_uploads_say_nothing(per_day):
    assert drift(Stream(per_day=per_day).hours(after(TUESDAY, 0.0, 0.5))) is None


def test_a_label_that_ten_flags_cannot_miss_by_chance_alone():
    """Five flags are to be expected in a day: none at all happens once in 150 days."""
    assert drift(Stream(per_day=500).hours(after(NOW - timedelta(days=1), 0.01, 0.0))) is None


def test_there_is_no_drift_before_there_is_a_reference_of_a_day():
    young = [hour for hour in Stream().hours(after(TUESDAY, 0.01, 0.18)) if hour.at >= TUESDAY - 20 * HOUR]
    noon = TUESDAY + 4 * HOUR
    assert drift([hour for hour in young if hour.at <= noon], noon + HOUR / 2) is None
    assert drift(young, NOW).kind is DriftKind.MORE
    (report,) = report_scores([hour for hour in young if hour.at > NOW - timedelta(days=1)], NOW)
    assert report.labels[0].share_before is None
    assert report.labels[0].share == pytest.approx(0.2, rel=0.1)


def test_a_change_that_came_with_a_version_says_so_for_two_days_and_then_the_version_is_its_own_reference():
    def found(started):
        hours = Stream().hours(after(started, 0.01, 0.18), version_at=after(started, V1, V2))
        (report,) = report_scores(hours, NOW)
        return report

    for started in (THIS_HOUR - 6 * HOUR, THIS_HOUR - 40 * HOUR):
        report = found(started)
        assert (report.version, report.version_before) == (V2, V1)
        ((_, one),) = report.drifts
        assert (one.since, one.by_version) == (started, True)
    report = found(THIS_HOUR - 60 * HOUR)
    assert (report.version, report.version_before, report.drifts) == (V2, None, [])


def test_a_change_after_a_new_version_is_not_blamed_on_it():
    hours = Stream().hours(after(TUESDAY, 0.01, 0.18), version_at=after(TUESDAY - 9 * HOUR, V1, V2))
    found = drift(hours)
    assert (found.since, found.by_version) == (TUESDAY, False)


def test_another_version_may_score_differently_and_drop_labels():
    bins = after(TUESDAY, USUAL, USUAL[::-1])
    old = Stream().hours(lambda _at: 0.1, bins_at=bins, labels=("explosives", "dropped"))
    new = Stream().hours(lambda _at: 0.1, bins_at=bins, version_at=lambda _at: V2)
    hours = [hour for hour in old if hour.at < TUESDAY] + [hour for hour in new if hour.at >= TUESDAY]
    (report,) = report_scores(hours, NOW)
    assert [one.label for one in report.labels] == ["explosives"]
    assert report.drifts == []


def test_during_a_rollout_the_version_that_judged_more_counts():
    hours = Stream().hours(lambda _at: 0.01)
    stray = Hour(THIS_HOUR, "default", V2, Activity.of(1, ["other"], [[1] * COLUMNS]))
    assert report_scores([*hours, stray], NOW) == report_scores(hours, NOW)


def test_each_policy_is_judged_by_its_own_uploads_and_a_silent_one_is_left_out():
    hours = Stream().hours(after(TUESDAY, 0.01, 0.18))
    others = [Hour(one.at, "avatars", one.version, one.activity) for one in hours if one.at < TUESDAY]
    assert [report.policy for report in report_scores([*others, *hours], NOW)] == ["default"]
    assert report_scores([], NOW) == []


def test_labels_that_drift_come_first_then_those_flagged_most():
    hours = Stream().hours(after(TUESDAY, 0.0, 0.1), labels=("never", "changed", "always"))
    for hour in hours:
        hour.activity.counts[0, 0] = 0
        hour.activity.counts[2, 0] = hour.activity.uploads
    (report,) = report_scores(hours, NOW)
    assert [one.label for one in report.labels] == ["changed", "always", "never"]
    assert [one.share for one in report.labels[1:]] == [1, 0]


def test_the_limits_of_significance_are_those_that_the_comments_state():
    assert chi2.sf(SIGNIFICANT_FLAGS, 1) == pytest.approx(1 / 1.7e6, rel=0.05)
    assert chi2.sf(SIGNIFICANT_SHIFT, BINS - 1) == pytest.approx(4e-6, rel=0.2)


def test_the_stability_index_is_that_of_the_book_if_no_bin_is_small():
    old, new = np.array([200, 300, 500]) * 1000, np.array([300, 300, 400]) * 1000
    expected = (0.3 - 0.2) * np.log(0.3 / 0.2) + (0.4 - 0.5) * np.log(0.4 / 0.5)
    assert stability_index(old, new) == pytest.approx(expected, abs=1e-4)
    assert stability_index(old, old * 7) == pytest.approx(0, abs=1e-6)


def test_small_bins_do_not_make_the_index():
    old, new = np.array([1000, 1000, 0, 3]), np.array([1000, 1000, 5, 0])
    assert stability_index(old, new) < 0.01
