"""The quickest faults of `make faults`, so that neither they nor what they show decays."""

import pytest
from faults.suite import chosen, run_on

QUICKEST = [
    "each message delivered five times at once",
    "the same id with another picture",
    "every connection to Redis cut, five times",
    "SIGTERM every 3 s under load",
]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_quickest_faults_lose_and_double_nothing(tmp_path):
    outcomes = run_on("sqlite", chosen(QUICKEST), tmp_path / "faults", rounds=1)
    assert [one.fault for one in outcomes] == sorted(QUICKEST, key=[one.fault for one in outcomes].index)
    assert not [one for one in outcomes if one.is_failure]
