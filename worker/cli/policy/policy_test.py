"""`moderate policy test`: runs a policy's tests, and shows each result with its margin."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from worker.cli.terminal.console import plain_table, print_json, results, track
from worker.domain.evaluation.expectation import DecisiveScore, decisive_scores, in_words
from worker.domain.policies.policy import Policy
from worker.policy_files.library import Prepared
from worker.policy_files.parser import read_policy
from worker.settings import Settings
from worker.usecases.policies.prepare_policy import embed_policy
from worker.usecases.policies.run_policy_tests import Outcome
from worker.wiring.components import open_decoder, open_encoder
from worker.wiring.policies import run_policy_tests

EPILOG = """Examples:

[bold]moderate policy test policies/stickers.yaml[/]

[bold]moderate policy test policies/stickers.yaml --json[/]

Exit codes: 0 all passed, or there are none, 1 a test failed or the file has problems, 2 wrong usage, 3 the
model cannot be loaded."""


def run_own_tests(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge the pictures of a policy's tests, and compare with what the tests expect."""
    policy, text = read_policy(file)
    outcomes = _run(policy, file, text) if policy.tests else []
    if as_json:
        print_json([_as_json(policy, outcome) for outcome in outcomes])
    elif outcomes:
        _print_table(policy, outcomes)
    else:
        results().print(f"{file}: no tests; policies/README.md shows how to write some", soft_wrap=True)
    if not all(outcome.passed for outcome in outcomes):
        raise typer.Exit(1)


def _run(policy: Policy, file: Path, text: str) -> list[Outcome]:
    settings = Settings.read()
    with open_decoder(settings) as decoder, open_encoder(settings) as encoder:
        prepared = Prepared(policy, embed_policy(encoder, policy, file, text))
        outcomes = run_policy_tests(encoder, decoder)(prepared, file.parent)
        return list(track(outcomes, total=len(policy.tests), what="judging"))


def _print_table(policy: Policy, outcomes: list[Outcome]) -> None:
    table = plain_table("picture", "expected", "got", "scores", "margin", "result")
    for outcome in outcomes:
        scores = _decisive(policy, outcome)
        table.add_row(
            outcome.test.picture,
            in_words(outcome.test.action, outcome.test.labels),
            _got(outcome),
            "\n".join(f"{s.score.label} {s.score.score:.2f} ({s.action} at {s.threshold:g})" for s in scores),
            "\n".join(f"{s.distance:+.2f}" for s in scores),
            Text("passed", "green") if outcome.passed else Text("failed", "bold red"),
        )
    results().print(table)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        why = map(str, _decisive(policy, outcome))
        reason = "; ".join(why) or (outcome.decision.reason if outcome.decision else outcome.problem)
        results().print(f"\n{outcome.test.picture}: {reason}", soft_wrap=True)
    results().print(f"\n{len(outcomes) - len(failed)} of {len(outcomes)} tests passed")


def _got(outcome: Outcome) -> str:
    decision = outcome.decision
    return in_words(decision.action, decision.flagged) if decision else outcome.problem


def _decisive(policy: Policy, outcome: Outcome) -> tuple[DecisiveScore, ...]:
    return decisive_scores(policy, outcome.test, outcome.decision) if outcome.decision else ()


def _as_json(policy: Policy, outcome: Outcome) -> dict[str, Any]:
    test, decision = outcome.test, outcome.decision
    return {
        "picture": test.picture,
        "passed": outcome.passed,
        "expected": {"action": test.action, "labels": None if test.labels is None else sorted(test.labels)},
        "got": {"action": decision.action, "labels": list(decision.flagged)} if decision else None,
        "reason": decision.reason if decision else outcome.problem,
        **(outcome.facts.coverage() if outcome.facts else {}),
        "scores": [
            {
                "label": s.score.label,
                "score": s.score.score,
                "threshold": s.threshold,
                "threshold_of": s.action,
                "margin": s.distance,
                "prompt": s.score.prompt,
                "background": s.score.background,
                "cosine_margin": s.score.margin,
                **s.score.view.as_json(),
            }
            for s in _decisive(policy, outcome)
        ],
    }
