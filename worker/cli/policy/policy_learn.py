"""`moderate policy learn`: what a policy can learn from its reviewers' verdicts; accept it, take it back."""

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from worker.cli.policy.policy_compare import print_comparison
from worker.cli.terminal.console import counting, messages, plain_table, print_json, results
from worker.cli.terminal.durations import parse_since
from worker.domain.policies.policy import Policy
from worker.encoder.phrases import encode_policy
from worker.encoder.protocol import Encoder
from worker.errors import InvalidPolicyError, UsageError
from worker.policy_files.library import Prepared
from worker.policy_files.parser import read_policy
from worker.policy_files.yaml_text.folder import SUFFIXES, file_of
from worker.reports import wording
from worker.reports.figures import comparison_figures
from worker.settings import Settings
from worker.store.engine.clock import now_at
from worker.store.engine.database import Database
from worker.store.operations.archive import Span
from worker.store.policies.learned_states import LearnedState
from worker.store.upgrade import schema
from worker.usecases.learning.accept_learning import AcceptLearning
from worker.usecases.learning.load_learned import LoadLearned
from worker.usecases.policies.compare_policies import Comparison
from worker.wiring.components import open_database, open_decoder, open_encoder
from worker.wiring.policies import compare_policies, load_learned, run_policy_tests

EPILOG = """Examples:

[bold]moderate policy learn stickers[/]

[bold]moderate policy learn stickers --accept --as robin[/]

[bold]moderate policy learn stickers --take-back[/]

Without --accept nothing changes. Workers follow within seconds of --accept and --take-back.
Exit codes: 0 done, also if there is nothing to learn, 1 the policy has problems, or its tests fail with what
it would learn, 2 wrong usage, 3 the database or the model is not usable."""
#: Changed decisions that are listed.
_FLIPS = 10


def learn(  # noqa: PLR0913, PLR0917 - typer passes each option as an argument
    name: Annotated[str, typer.Argument(metavar="POLICY", help="The policy's name, or its file.")],
    since: Annotated[str, typer.Option(help="Use verdicts on uploads this far back: 90d, 12h.")] = "90d",
    accept: Annotated[
        bool, typer.Option("--accept", help="Put the newest proposal in force; without one, make it first.")
    ] = False,
    take_back: Annotated[
        bool, typer.Option("--take-back", help="Put in force what was before the last --accept.")
    ] = False,
    author: Annotated[
        str, typer.Option("--as", envvar="MODERATION_REVIEWER", metavar="NAME", help="Who changes it.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a policy can learn from verdicts: held-out figures, and what would change in the archive."""
    if accept and take_back:
        raise UsageError("--accept and --take-back exclude each other")
    back, settings = parse_since(since), Settings.read()
    policy, file = _read(settings, name)
    database = open_database(settings)
    try:
        schema.check(database)
        if take_back:
            _take_back(database, policy.name, _author(author))
            return
        span = Span(now_at(database) - back, policy.name)
        with open_encoder(settings, database=database) as encoder:
            session = _Session(settings, encoder, database, policy, file)
            state = session.proposal(span, is_accepting=accept)
            if state is None:
                return
            before, after = session.versions(state)
            comparison = session.compare(before, after, span)
            _print(state, comparison, as_json=as_json)
            if accept:
                session.accept(state, after, _author(author))
    finally:
        database.dispose()
    if not accept:
        messages().print(
            f"nothing is changed; to put it in force: moderate policy learn {policy.name} --accept",
            soft_wrap=True,
        )


@dataclass(frozen=True, slots=True)
class _Session:
    """What one run of the command works with."""

    settings: Settings
    encoder: Encoder
    database: Database
    policy: Policy
    file: Path

    @property
    def accepting(self) -> AcceptLearning:
        return AcceptLearning(self.database, self._load.model_digest)

    @property
    def _load(self) -> LoadLearned:
        return load_learned(self.settings, self.encoder, self.database)

    def proposal(self, span: Span, *, is_accepting: bool) -> LearnedState | None:
        """Return the newest proposal, or make one; None if there is nothing to learn, which is printed."""
        if is_accepting and (known := self.accepting.proposal(self.policy)):
            return known
        # scikit-learn takes a second to import, and the other commands do without.
        from worker.wiring.evaluating import propose_learning  # noqa: PLC0415

        propose = propose_learning(self.settings, self.encoder, self.database)
        with counting("learning") as progress:
            found = propose(self.policy, span, progress)
        if found.is_something:
            return self.accepting.proposal(self.policy)
        _print_labels(found.figures)
        messages().print("there is nothing to learn yet: collect verdicts, or name `examples` in the policy")
        return None

    def versions(self, state: LearnedState) -> tuple[Policy, Policy]:
        """Return the version in force, and the one with the proposal."""
        in_force = self.accepting.in_force(self.policy.name)
        before = self.policy.with_learned(in_force.thresholds) if in_force else self.policy
        return before, self.policy.with_learned(state.thresholds)

    def compare(self, before: Policy, after: Policy, span: Span) -> Comparison:
        compare = compare_policies(self.settings, self.encoder, self.database)
        with counting("comparing") as progress:
            return compare(before, after, span, progress)

    def accept(self, state: LearnedState, after: Policy, author: str) -> None:
        """Put the proposal in force, unless the policy's own tests fail with it: workers would refuse it."""
        if after.tests:
            self._check_tests(after)
        self.accepting.accept(after.name, state.digest, author)
        messages().print(
            f"in force from now on: version {after.digest[:12]}; to take it back: "
            f"moderate policy learn {after.name} --take-back",
            soft_wrap=True,
        )

    def _check_tests(self, after: Policy) -> None:
        vectors = encode_policy(self.encoder, after)
        prepared = Prepared(after, vectors, self._load(after))
        with open_decoder(self.settings) as decoder:
            outcomes = run_policy_tests(self.encoder, decoder)(prepared, self.file.parent)
            failed = [one.test.picture for one in outcomes if not one.passed]
        if failed:
            raise InvalidPolicyError(
                f"with what it would learn, {len(failed)} of {len(after.tests)} tests of the policy fail: "
                + ", ".join(failed),
                hint="nothing is changed; correct the tests, or the verdicts that speak against them",
            )


def _take_back(database: Database, name: str, author: str) -> None:
    before = AcceptLearning(database, "").take_back(name, author)
    now = f"what it had learned before ({before[:12]})" if before else "the policy as its file says"
    messages().print(f"taken back; in force from now on: {now}")


def _print(state: LearnedState, comparison: Comparison, *, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(state, comparison))
        return
    title = f"proposal {state.digest[:12]} for {state.policy}, version {state.policy_digest[:12]}\n"
    results().print(Text(title, "bold"))
    _print_labels(state.figures)
    results().print()
    if reason := wording.empty_reason(comparison):
        results().print(reason, soft_wrap=True)
    else:
        print_comparison(comparison, _FLIPS)


def _print_labels(figures: Any) -> None:
    table = plain_table("label", "verdicts", "applies", "learns", "log loss", "found at 1 % false", "why")
    for label, one in figures.items():
        before, after = one["before"], one["after"]
        table.add_row(
            label,
            str(one["verdicts"]),
            str(one["right"]),
            one["adopted"],
            _change(before, after, "log_loss"),
            _change(before, after, "recall"),
            one["reason"],
        )
    results().print(table)
    for label, one in figures.items():
        for key, what in (("review", "recall"), ("block", "precision")):
            if one[key]:
                results().print(f"{label}, {key}: {_threshold_text(one[key], what)}", soft_wrap=True)


def _change(before: Any, after: Any, key: str) -> str:
    if not before:
        return "–"  # noqa: RUF001 - an en dash, as tables have it
    return f"{before[key]:.3f} → {after[key]:.3f}" if after else f"{before[key]:.3f}"


def _threshold_text(found: Any, what: str) -> str:
    if found["score"] is not None:
        return f"{what} of {found['target']:.1%} from {found['score']:.3f} on ({found['verdicts']} verdicts)"
    return (
        f"{what} of {found['target']:.1%} is not shown yet: {found['verdicts']} verdicts, of which at least "
        f"{found['needed']} without an error would show it"
    )


def _as_json(state: LearnedState, comparison: Comparison) -> dict[str, Any]:
    return {
        "proposal": state.digest,
        "policy": state.policy,
        "version": state.policy_digest,
        "labels": dict(state.figures),
        "effect": comparison_figures(comparison),
    }


def _read(settings: Settings, word: str) -> tuple[Policy, Path]:
    file = Path(word) if Path(word).suffix in SUFFIXES else file_of(settings.policies, word)
    return read_policy(file, with_pictures=False)[0], file


def _author(name: str) -> str:
    return name or getpass.getuser()
