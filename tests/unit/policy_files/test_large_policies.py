"""Large policies take linear time: what costs much is done once, however much is found. Counted, not timed."""

from pathlib import Path

import numpy as np
import pytest

from worker.domain.evaluation import policy_lint
from worker.domain.moderation.scoring import PhraseVectors
from worker.domain.policies.policy import Label, Policy
from worker.policy_files import findings
from worker.policy_files.findings import Findings
from worker.policy_files.yaml_text import invisible
from worker.policy_files.yaml_text.problems import MAX_SHOWN_PROBLEMS, Problems

HEAD = "name: p\nbackground: [a person]\nlabels:\n  w:\n    prompts:\n"
COUNT = 300


@pytest.fixture
def calls(monkeypatch):
    def count(module, name):
        made, original = [], getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args: made.append(args) or original(*args))
        return made

    return count


def test_lines_are_split_once_however_many_begin_with_an_odd_space(calls):
    split = calls(invisible, "split_lines")
    problems = Problems("p.yaml")
    assert invisible.refuse_odd_spaces("\n" * COUNT + "\u00a0x\n" * COUNT, problems)
    assert len(problems.places()) == COUNT
    assert len(split) == 1


def test_a_list_is_normalised_once_and_few_of_many_warnings_are_shown(calls):
    text = HEAD + "".join(f"      - gun {n}\n" for n in range(COUNT))
    spelt, read = calls(findings, "normalised"), calls(findings, "read_document")
    found = Findings(Path("p.yaml"), text)
    for n in range(COUNT):
        found.add(("labels", "w", "prompts"), "look here", phrase=f"gun {n}")
    warnings = found.warnings()
    assert len(found.problems()) == COUNT
    assert (len(spelt), len(read)) == (COUNT, 1)
    assert len(warnings) == MAX_SHOWN_PROBLEMS + 1
    assert warnings[-1] == f"warning: p.yaml: and {COUNT - MAX_SHOWN_PROBLEMS} more warnings"


def test_phrases_that_are_one_are_compared_from_the_first_of_them_alone(monkeypatch):
    phrases = tuple(f"gun {n}" for n in range(COUNT))
    policy = Policy("p", ("gun 0",), (Label("w", phrases),))
    looked, original = [], np.flatnonzero
    monkeypatch.setattr(policy_lint.np, "flatnonzero", lambda row: looked.append(row) or original(row))
    matrix = np.ones((COUNT, 4), np.float32) / 2
    (finding,) = policy_lint.lint_collapsed(policy, PhraseVectors.of(phrases, matrix))
    assert f"and {COUNT - 6} more" in finding.message
    assert len(looked) == 1
