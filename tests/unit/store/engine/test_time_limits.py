"""The limits of a connection: ours, unless the operator's options name others."""

import pytest

from worker.store.engine.time_limits import LIMITS, joined, setting


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ("", {}),
        ("-c work_mem=77MB", {}),
        ("-c statement_timeout=5000", {"statement_timeout": "5000"}),
        ("-cstatement_timeout=5s", {"statement_timeout": "5s"}),
        ("--statement-timeout=5s -c search_path=x", {"statement_timeout": "5s"}),
        ("-c search_path=a\\ b -c LOCK_TIMEOUT=1min", {"lock_timeout": "1min"}),
        ("-c lock_timeout=1s -c lock_timeout=2s", {"lock_timeout": "2s"}),
        ("-c lock_timeout=1\\ s", {"lock_timeout": "1 s"}),
        ("-c statement_timeout=0", {"statement_timeout": "0"}),
        ("-c application_name=--lock_timeout=1s", {}),
    ],
)
def test_an_operators_options_go_before_ours_one_by_one(options, changed):
    assert joined(options) == {**LIMITS, **changed}


def test_a_limit_cannot_leave_its_quotes():
    assert setting({"lock_timeout": "1s'; DROP TABLE x; --"}) == (
        "; SET LOCAL lock_timeout = '1s''; DROP TABLE x; --'"
    )
