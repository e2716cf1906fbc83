"""A time span is a number and a unit."""

from datetime import timedelta

import pytest
import typer

from worker.cli.terminal.durations import parse_since, short


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
        ("45s", timedelta(seconds=45)),
        (" 2 W ", timedelta(weeks=2)),
    ],
)
def test_a_number_and_a_unit(text, span):
    assert parse_since(text) == span


@pytest.mark.parametrize("text", ["", "d", "7", "-7d", "1.5h", "7 days", "0d", "٣d", "yesterday"])
def test_whatever_else_is_refused_with_the_forms(text):
    with pytest.raises(typer.BadParameter, match="write it like 30d, 12h, 90m"):
        parse_since(text)


def test_more_than_a_century_is_refused():
    with pytest.raises(typer.BadParameter, match="longer than 36,500 days"):
        parse_since("999999999w")


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (timedelta(days=7), "7 days"),
        (timedelta(hours=25), "1 day"),
        (timedelta(minutes=90), "2 hours"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(seconds=5), "5 seconds"),
    ],
)
def test_a_span_is_told_in_its_largest_unit(span, told):
    assert short(span) == told
