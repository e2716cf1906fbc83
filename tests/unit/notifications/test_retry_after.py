"""`Retry-After` in seconds and as a date, within bounds, and ignored if it is neither."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from worker.notifications.webhook import parse_retry_after

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


def in_a_header(seconds):
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 1),
        ("3600", 3600),
        ("3601", 3600),
        ("999999999999999", 3600),
        (in_a_header(90), 90),
        (in_a_header(-90), 1),
        (in_a_header(86_400), 3600),
        ("Wed, 01 Jul 2026 14:02:00 +0200", 120),
        *[(text, None) for text in ("", "soon", "-5", "1.5", "1e3", "٣", "9" * 5000, "Wed, 99 Foo 2026")],
        ("Thu, 01 Jan 99999 00:00:00 GMT", None),
    ],
)
def test_the_pause_that_a_receiver_asks_for(text, seconds):
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert parse_retry_after(text, NOW.timestamp()) == expected
