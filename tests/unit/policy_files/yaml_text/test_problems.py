"""How a problem looks to the person who reads it."""

from worker.policy_files.yaml_text.problems import PolicyProblem, quote, render, split_lines


def shown(source: str, line: int, column: int) -> tuple[str, str]:
    """Return the source line and the caret's line under it."""
    _, text, caret = render(PolicyProblem("p.yaml", line, column, "wrong"), split_lines(source)).splitlines()
    return text, caret


def test_the_caret_stands_under_the_place():
    assert shown("a: 1\nbb: 22\n", 2, 5) == ("    2 | bb: 22", "      |     ^")


def test_the_caret_stands_under_the_place_after_wide_and_combining_characters():
    assert shown("拳銃e\u0301: x", 1, 7)[1] == "      | " + " " * 7 + "^"


def test_a_problem_of_the_whole_file_has_no_place():
    assert render(PolicyProblem("p.yaml", 0, 0, "the file is empty", "write one")) == (
        "p.yaml: the file is empty\n  hint: write one"
    )


def test_a_place_behind_the_last_line_is_named_without_it():
    assert render(PolicyProblem("p.yaml", 9, 1, "wrong"), ["a: 1"]) == "p.yaml:9:1: wrong"


def test_a_long_line_is_cut_around_the_place():
    text, caret = shown("x" * 500 + "!" + "y" * 500, 1, 501)
    assert len(text) == len("    1 | ") + 102
    assert text[caret.index("^")] == "!"
    assert text.endswith("…")
    assert text.startswith("    1 | …")


def test_nothing_that_a_terminal_obeys_is_shown():
    text, _ = shown("a: \x1b[31m\u202ered", 1, 1)
    assert text == "    1 | a: \ufffd[31m\ufffdred"
    assert quote("\x1b]0;title\x07\n  next") == '"\ufffd]0;title\ufffd next"'


def test_a_long_quotation_is_cut():
    assert quote("y" * 100) == '"' + "y" * 59 + '…"'


def test_lines_are_counted_as_yaml_counts_them():
    assert split_lines("a\r\nb\rc\nd\x85e\u2028f\u2029g\x0bh") == ["a", "b", "c", "d", "e", "f", "g\x0bh"]
