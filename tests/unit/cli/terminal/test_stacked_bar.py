"""A bar shares its cells out in proportion, as wide as was asked for, and is read without colours too."""

from hypothesis import given
from hypothesis import strategies as st

from worker.cli.terminal.stacked_bar import bar, cells, sign

amounts = st.lists(st.floats(-10, 1000), min_size=1, max_size=7)


@given(amounts, st.integers(1, 200))
def test_the_cells_sum_to_the_width_and_each_is_within_one_of_its_share(amounts, width):
    found = cells(amounts, width)
    whole = sum(max(0.0, amount) for amount in amounts)
    assert sum(found) == (width if whole else 0)
    for amount, count in zip(amounts, found, strict=True):
        assert abs(count - (max(0.0, amount) * width / whole if whole else 0)) < 1


def test_at_80_columns():
    drawn = bar([130, 25, 0.5, 12, 27.5, 3, 2], 80, "utf-8")
    assert drawn.plain == "█" * 52 + "▓" * 10 + "░" * 5 + "▚" * 11 + "▪" + "·"


def test_a_terminal_without_unicode_gets_plain_signs():
    assert bar([2, 1, 1], 8, "ascii").plain == "####==++"
    assert sign(6, "ascii").plain == "."
