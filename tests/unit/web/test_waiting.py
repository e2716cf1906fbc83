"""`Prefer: wait` as RFC 7240 writes it; what is not understood is no preference."""

import pytest

from worker.web.api.waiting import preferred_wait_seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], None),
        (["wait=10"], 10),
        (['Wait = "10"'], 10),
        (["respond-async, wait=5"], 5),
        (["handling=lenient", "wait=7; foo=bar"], 7),
        (["wait=1, wait=2"], 1),
        (["wait"], None),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (["wait=٣"], None),
        (["wait=99999999999"], None),
        (["await=3"], None),
    ],
)
def test_how_long_a_client_prefers_to_wait(headers, seconds):
    assert preferred_wait_seconds(headers) == seconds
