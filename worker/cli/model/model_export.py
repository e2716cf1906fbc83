"""`moderate model export`: writes a faster copy of the model, and measures how its decisions differ."""

from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from worker.cli.terminal.console import action_text, counting, plain_table, print_json, results
from worker.cli.terminal.signals import exit_cleanly
from worker.domain.evaluation.drift import DecisionFlip, PolicyDrift
from worker.domain.policies.policy import Action
from worker.encoder.fetching.fresh_folder import check_free
from worker.images.sources.folder import find_files
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.usecases.policies.export_int8 import ExportedModel

EPILOG = """Examples:

[bold]moderate model export --int8 uploads/ --out clip-int8[/]

[bold]MODERATION_MODEL=clip-int8 moderate worker[/]

The folder holds a few hundred pictures like those that are uploaded. Some calibrate the copy, the others
measure it. The export needs the extra [bold]int8[/], the copy the extra [bold]openvino[/].
Exit codes: 0 done, 1 tests of a policy fail with the copy, or a policy has problems and no copy was made,
2 wrong usage, 3 the model cannot be exported."""
#: Flips listed on the terminal.
PRINTED: Final = 20


def export(
    int8: Annotated[
        Path, typer.Option("--int8", metavar="PICTURES", help="Compute in int8; folder of your own pictures.")
    ],
    out: Annotated[Path, typer.Option(help="New folder for the copy.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a copy of MODERATION_MODEL that is several times as fast, and show which decisions differ."""
    # Torch takes seconds to import: check the folders first.
    check_free(out)
    files = find_files([int8])
    settings = Settings.read()
    from worker.wiring.exporting import open_export  # noqa: PLC0415

    # A signal must leave no incomplete copy.
    exit_cleanly()
    with open_export(settings) as export_int8:
        exported = export_int8(files, out, counting)
    if as_json:
        print_json(_as_json(exported))
    else:
        _print(exported)
    if any(policy.failed_tests for policy in exported.drift.policies):
        raise typer.Exit(1)


def _print(exported: "ExportedModel") -> None:
    out, drift = results(), exported.drift
    out.print(f"{exported.folder}: int8, made with {exported.calibrated} pictures", soft_wrap=True)
    if exported.unusable:
        out.print(f"left out because they cannot be judged: {exported.unusable} files")
    out.print(
        f"\nOn {len(drift.cosines)} others, against float32: mean cosine {drift.mean:.4f}, "
        f"least {drift.least:.4f} ({drift.furthest})\n",
        soft_wrap=True,
    )
    out.print(_policy_table(drift.policies, len(drift.cosines)))
    for policy in drift.policies:
        _print_flips(policy)
        for picture in policy.failed_tests:
            out.print(Text(f"\n{policy.policy}: the test of {picture} fails in int8", "bold red"))
    out.print(
        f"\nCheck the thresholds again, then set MODERATION_MODEL={exported.folder}; stored embeddings of "
        "earlier uploads belong to the previous model.",
        soft_wrap=True,
    )


def _policy_table(policies: tuple[PolicyDrift, ...], pictures: int) -> Any:
    table = plain_table("policy", "flips", "which way", "own tests")
    for policy in policies:
        ways = starmap(_way, policy.ways.most_common())
        failed = len(policy.failed_tests)
        tests = Text(f"{failed} failed", "bold red") if failed else Text("passed", "green")
        table.add_row(policy.policy, f"{len(policy.flips)} of {pictures}", "\n".join(ways), tests)
    return table


def _way(actions: tuple[Action, Action], count: int) -> str:
    before, after = actions
    if before is after:
        return f"{count} {before.value} as before, for other labels"
    return f"{count} from {before.value} to {after.value}"


def _print_flips(policy: PolicyDrift) -> None:
    if not policy.flips:
        return
    results().print(f"\n{policy.policy}, decided differently:")
    table = plain_table("picture", "decided", "labels", "in int8", "labels in int8")
    for flip in policy.flips[:PRINTED]:
        before, after = flip.before, flip.after
        table.add_row(
            flip.file,
            action_text(before.action),
            ", ".join(before.flagged),
            action_text(after.action),
            ", ".join(after.flagged),
        )
    results().print(table)
    if len(policy.flips) > PRINTED:
        results().print(f"and {len(policy.flips) - PRINTED} more; --json prints all")


def _as_json(exported: "ExportedModel") -> dict[str, Any]:
    drift = exported.drift
    return {
        "folder": str(exported.folder),
        "digest": exported.digest,
        "calibrated": exported.calibrated,
        "unusable": exported.unusable,
        "compared": len(drift.cosines),
        "cosine": {"mean": drift.mean, "least": drift.least, "furthest": drift.furthest},
        "policies": [
            {
                "policy": policy.policy,
                "version": policy.digest,
                "flips": [_flip_as_json(flip) for flip in policy.flips],
                "failed_tests": list(policy.failed_tests),
            }
            for policy in drift.policies
        ],
    }


def _flip_as_json(flip: DecisionFlip) -> dict[str, Any]:
    sides = {"before": flip.before, "after": flip.after}
    return {"file": flip.file} | {
        side: {
            "action": decision.action.value,
            "labels": list(decision.flagged),
            "reason": decision.reason,
        }
        for side, decision in sides.items()
    }
