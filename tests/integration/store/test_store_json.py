"""What a platform puts into a context comes back equal, and of the same kind."""

import pytest
from sqlalchemy import select, update
from support.store_records import record, submission

from worker.store.engine.tables import SubmissionRow

NUMBERS = [1e300, -1e300, 1.7976931348623157e308, 1e16, 1e22, 1e23, 1.2345678901234567e18, 5e-324, 1e-7, -0.0]
WHOLE = [0, 2**53 + 1, -(2**63), 2**64, 10**300, 10**4000]
TEXTS = ["1e+300", 'a "1e+30" b', "\\", '\\"1e+30', "é\u2028\U0001f600", ""]


@pytest.mark.parametrize("value", [*NUMBERS, *WHOLE, *TEXTS, True, None, [], {}, [[[[1e30]]]]], ids=repr)
def test_a_value_comes_back_equal(emptied_database, value):
    assert round_trip(emptied_database, {"value": value, "1e+30": [value]}) == {
        "value": value,
        "1e+30": [value],
    }


def round_trip(database, context):
    record(database, submission("upload-1"))
    with database.transaction() as session:
        session.execute(update(SubmissionRow).values(context=context))
    with database.reading() as session:
        found = session.scalar(select(SubmissionRow.context))
    assert kinds(found) == kinds(context)
    return found


def kinds(value):
    """Return the value with the kind of each number in it."""
    match value:
        case dict():
            return {key: kinds(one) for key, one in value.items()}
        case list():
            return [kinds(one) for one in value]
    return type(value), value
