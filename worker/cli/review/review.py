"""`moderate review`: the review queue on the terminal, for people with access to the database."""

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from worker.cli.review import review_golden, review_stats
from worker.cli.review.open_desk import desk
from worker.cli.review.reviewer_option import AsLead, AsName, reviewer
from worker.cli.terminal.console import action_text, messages, plain_table, print_json, results
from worker.domain.moderation.in_force import InForce
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ClaimToken, ReviewKind
from worker.domain.reviews.verdict import Answer
from worker.errors import UsageError
from worker.printable import one_line
from worker.store.reviews.review_search import ReviewFilters
from worker.store.reviews.reviews import Review
from worker.usecases.reviews.settle_review import Settled
from worker.usecases.reviews.submission_history import HistoryEntry
from worker.wiring.review_desk import ReviewDesk

app = typer.Typer(
    no_args_is_help=True,
    help="The review queue. Anyone with access to this shell may act as any reviewer (--as).",
)
app.add_typer(review_golden.app, name="golden")

_EXIT_CODES = (
    "Exit codes: 0 done, 1 somebody was first or this person may not answer, 2 wrong usage, 3 the database is"
    " not usable."
)
Tokens = Annotated[
    list[str],
    typer.Argument(metavar="REVIEW:CLAIM...", help="As `claim` prints them, such as 17:2; or 17 alone."),
]
Queue = Annotated[str | None, typer.Option(help="Only this queue.")]
Label = Annotated[str | None, typer.Option(help="Only decisions that flagged this label.")]
Policy = Annotated[str | None, typer.Option(help="Only under the policy of this name.")]
Severity = Annotated[int | None, typer.Option(min=1, max=5, help="Only this grave or graver.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(
    "list",
    epilog=f"""Examples:

[bold]moderate review list --queue urgent[/]

[bold]moderate review list --severity 4 --json[/]

In SQL, the view review_queue shows the same. {_EXIT_CODES}""",
)
def show(  # noqa: PLR0913, PLR0917 - an option each
    queue: Queue = None,
    label: Label = None,
    policy: Policy = None,
    kind: Annotated[ReviewKind | None, typer.Option(help="Only of this kind.")] = None,
    severity: Severity = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the open reviews, in the order of the queue."""
    filters = ReviewFilters(queue, label, policy, kind, severity)
    with desk() as at:
        found = at.browse.for_operators(filters, limit=limit)
    if as_json:
        states = found.in_force
        print_json([_as_json(review, states[review.decision.submission_id]) for review in found.reviews])
        return
    table = plain_table(
        "review", "queue", "kind", "severity", "due", "claimed by", "labels", "reference", "reason"
    )
    for review in found.reviews:
        table.add_row(
            str(review.id),
            review.queue,
            review.kind.value + (" (lead)" if review.for_lead else ""),
            str(review.decision.severity),
            _due(review, found.now),
            review.claimed_by if review.is_held(found.now) else "",
            ", ".join(review.decision.flagged),
            review.decision.reference or review.decision.submission_id,
            review.decision.reason,
        )
    results().print(table)
    results().print(f"\n{len(found.reviews)} shown")


@app.command(
    epilog=f"""Examples:

[bold]moderate review claim --as ada --queue urgent[/]

[bold]moderate review claim 17 --as ada --json[/]

{_EXIT_CODES}"""
)
def claim(  # noqa: PLR0913, PLR0917 - an option each
    review: Annotated[int | None, typer.Argument(help="The review to claim; the next if left out.")] = None,
    name: AsName = "",
    lead: AsLead = False,
    queue: Queue = None,
    label: Label = None,
    policy: Policy = None,
    severity: Severity = None,
    alone: Annotated[bool, typer.Option("--alone", help="Without those that look nearly the same.")] = False,
    as_json: AsJson = False,
) -> None:
    """Claim the next review, with those of pictures that look nearly the same."""
    filters = ReviewFilters(queue, label, policy, None, severity)
    with desk() as at:
        found = at.claim(reviewer(name, lead=lead), filters, review_id=review, grouped=not alone)
        claimed = [found.review, *found.alike] if found else []
        states = at.browse.in_force(claimed)
    if as_json:
        print_json([_as_json(one, states[one.id], blind=True) for one in claimed])
        return
    for one in claimed:
        _print_claimed(one)
    if not claimed:
        messages().print("nothing is open for you")


@app.command(
    epilog=f"""Examples:

[bold]moderate review decide 17:2 block --label weapons --reason "a real rifle" --as ada[/]

[bold]moderate review decide 17:2 18:1 19:1 allow --as ada[/]

{_EXIT_CODES}"""
)
def decide(  # noqa: PLR0913, PLR0917 - an option each
    what: Annotated[
        list[str],
        typer.Argument(metavar="REVIEW:CLAIM... ACTION", help="As `claim` prints them, then allow or block."),
    ],
    name: AsName = "",
    lead: AsLead = False,
    label: Annotated[
        list[str] | None, typer.Option(help="A label that truly applies; repeat it for several.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the platform.")] = "",
    note: Annotated[str, typer.Option(help="Only for colleagues.")] = "",
) -> None:
    """Answer claimed reviews, all with the same verdict."""
    *tokens, word = what
    if word not in {Action.ALLOW, Action.BLOCK} or not tokens:
        raise UsageError(
            "name the reviews, then allow or block", hint="moderate review decide 17:2 block --label weapons"
        )
    answer = Answer(Action(word), frozenset(label or ()), reason, note)
    with desk() as at:
        settled = at.settle(reviewer(name, lead=lead), _tokens(at, tokens, name), answer, {"by": "terminal"})
    for one in settled:
        _print_settled(one, answer.action)


@app.command(epilog=_EXIT_CODES)
def skip(
    tokens: Tokens,
    reason: Annotated[str, typer.Option(help="Why.")],
    name: AsName = "",
    lead: AsLead = False,
) -> None:
    """Skip claimed reviews: for you they come last."""
    with desk() as at:
        at.claims.skip(reviewer(name, lead=lead), _tokens(at, tokens, name), reason)
    results().print("skipped")


@app.command(epilog=_EXIT_CODES)
def escalate(
    tokens: Tokens,
    reason: Annotated[str, typer.Option(help="What the lead should know.")],
    name: AsName = "",
    lead: AsLead = False,
) -> None:
    """Escalate claimed reviews to a lead."""
    with desk() as at:
        at.claims.escalate(reviewer(name, lead=lead), _tokens(at, tokens, name), reason)
    results().print("escalated")


@app.command(epilog=_EXIT_CODES)
def release(tokens: Tokens, name: AsName = "", lead: AsLead = False) -> None:
    """Release claimed reviews to the queue."""
    with desk() as at:
        at.claims.release(reviewer(name, lead=lead), _tokens(at, tokens, name))
    results().print("released")


@app.command(
    epilog=f"""Examples:

[bold]moderate review undo 311 --as ada[/]

{_EXIT_CODES}"""
)
def undo(
    verdict: Annotated[int, typer.Argument(help="As `decide` and `history` print it.")],
    name: AsName = "",
    lead: AsLead = False,
    group: Annotated[bool, typer.Option("--group", help="Also all verdicts given with it.")] = False,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Reverse a verdict, with everything it caused."""
    with desk() as at:
        undone = at.reverse(reviewer(name, lead=lead), verdict, whole_group=group, reason=reason)
    results().print(f"{len(undone.verdict_ids)} verdicts reversed")
    for review in undone.reopened:
        held = f", claimed by you as {_token(review)}" if review.claimed_by else ""
        results().print(f"review {review.id} is open again{held}")


app.command("stats", epilog=review_stats.EPILOG)(review_stats.stats)


@app.command(epilog=_EXIT_CODES)
def history(
    submission: Annotated[
        str, typer.Argument(help="A submission's id, or its reference if no other has it.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show what happened to a submission, oldest first."""
    with desk() as at:
        found = at.submissions.named(submission)
        if found is None:
            raise UsageError(
                f"there is no submission {submission!r}", hint="moderate decisions lists what was decided"
            )
        happened = at.history(found)
    if as_json:
        print_json([_history_as_json(one) for one in happened])
        return
    table = plain_table("when", "who", "what", "review", "details")
    for one in happened:
        table.add_row(
            f"{one.at:%Y-%m-%d %H:%M:%S}", one.actor, one.what, str(one.review_id or ""), _details(one)
        )
    results().print(table)


def _tokens(at: ReviewDesk, texts: list[str], name: str) -> list[ClaimToken]:
    """Parse claims such as `17:2`, or `17` if this reviewer holds the claim."""
    held = {}
    if not all(":" in text for text in texts):
        held = {one.id: one.token for one in at.claims.of(name).reviews}
    return [_one_token(text, held) for text in texts]


def _one_token(text: str, held: dict[int, ClaimToken]) -> ClaimToken:
    review, colon, fence = text.partition(":")
    if not review.isdecimal() or (colon and not fence.isdecimal()):
        raise UsageError(f"{text!r} is not a claim", hint="write 17:2, as `moderate review claim` printed it")
    if colon:
        return ClaimToken(int(review), int(fence))
    # An invalid token: the use case refuses it with the reason.
    return held.get(int(review), ClaimToken(int(review), -1))


def _token(review: Review) -> str:
    return f"{review.id}:{review.fence}"


def _due(review: Review, now: datetime) -> Text:
    if review.deadline_at is None:
        return Text("")
    style = "bold red" if review.deadline_at < now else ""
    return Text(f"{review.deadline_at:%Y-%m-%d %H:%M}", style)


def _print_claimed(review: Review) -> None:
    review = review.blinded
    decision = review.decision
    results().print(
        Text.assemble(
            (_token(review), "bold"),
            f"  {review.kind.value}  severity {decision.severity}  {decision.policy}  ",
            one_line(decision.reference or decision.submission_id),
        ),
        soft_wrap=True,
    )
    for line in (decision.reason, review.statement, review.escalation):
        if line:
            results().print(f"  {one_line(line)}", soft_wrap=True)


def _print_settled(one: Settled, action: Action) -> None:
    results().print(
        Text.assemble(action_text(action), f"  {one.submission_id}, verdict {one.verdict_id}"), soft_wrap=True
    )
    if not one.picture_seen:
        messages().print(
            "  the picture that was judged has changed, or cannot be read from here: the verdict holds for"
            " this submission alone",
            soft_wrap=True,
        )


def _as_json(review: Review, state: InForce, *, blind: bool = False) -> dict[str, Any]:
    review = review.blinded if blind else review
    decision = review.decision
    return {
        "review": review.id,
        "claim": review.fence,
        "kind": review.kind.value,
        "queue": review.queue,
        "priority": review.priority,
        "severity": decision.severity,
        "created_at": review.created_at.isoformat(),
        "deadline_at": review.deadline_at.isoformat() if review.deadline_at else None,
        "for_lead": review.for_lead,
        "escalation": review.escalation,
        "claimed_by": review.claimed_by,
        "claimed_until": review.claimed_until.isoformat() if review.claimed_until else None,
        "picture_changed_at": review.picture_changed_at.isoformat() if review.picture_changed_at else None,
        "statement": review.statement,
        "submission": decision.submission_id,
        "reference": decision.reference,
        "context": decision.context,
        "decision": decision.id,
        "policy": decision.policy,
        "action": state.action and state.action.value,
        "decided_by": state.decided_by and state.decided_by.value,
        "policy_action": decision.action.value,
        "labels": list(decision.flagged),
        "reason": decision.reason,
    }


def _history_as_json(one: HistoryEntry) -> dict[str, Any]:
    return {
        "at": one.at.isoformat(),
        "actor": one.actor,
        "what": one.what,
        "review": one.review_id,
        "details": dict(one.details),
    }


def _details(one: HistoryEntry) -> str:
    shown = ("verdict", "action", "labels", "reason", "statement", "inherited_from")
    values = {name: one.details.get(name) for name in shown}
    return "  ".join(
        f"{name} {', '.join(value) if isinstance(value, list) else value}"
        for name, value in values.items()
        if value
    )
