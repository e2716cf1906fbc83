"""The quickest faults of `make faults`, so that neither they nor what they show decays."""

import pytest
from faults.suite import chosen, run_on

QUICKEST = [
    "the same id with another picture",
    "each message delivered five times",
    "SIGTERM every 3 s under load",
]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.exhaustive
def test_the_quickest_faults_lose_and_double_nothing(tmp_path):
    outcomes = run_on("sqlite", chosen(QUICKEST), tmp_path / "faults", rounds=1)
    assert len(outcomes) == len(QUICKEST)
    for one in outcomes:
        assert (one.verdict, one.lost, one.doubled) == ("holds", 0, 0), one
        assert one.submitted == one.decided > 0
        assert not one.notes, "nothing is left with Redis that it would keep for the dead"
