"""What a person can do with an item: answer, skip, escalate, release, or undo a verdict."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ClaimToken
from worker.domain.reviews.verdict import Answer
from worker.errors import InvalidVerdictError, PictureChangedError, ReviewConflictError
from worker.web.desk.pages.item import RefusedVerdict, item_page
from worker.web.desk.request.access import Desk, Post, ReviewNumber
from worker.web.desk.request.addresses import address_of, ids_in, next_address
from worker.web.desk.request.filters import DeskFilters
from worker.web.desk.request.forms import Form
from worker.web.desk.request.service import DeskService
from worker.web.http.problems import ProblemError

router = APIRouter()

#: The box "none of these"; unlike no box at all, it does not confirm the flagged labels.
NO_LABEL = "-"


@router.post("/items/{review_id}/verdict")
def answer(request: Request, review_id: ReviewNumber, desk: Desk, posted: Post) -> Response:
    """Record the answer for this item and the ticked similar ones; go on to the next item."""
    form, visitor = posted.form, posted.visitor
    filters = DeskFilters.of_form(form)
    tokens = _tokens(form, review_id)
    try:
        given = _answer(desk, form, review_id)
        desk.work.settle(visitor.reviewer, tokens, given, _what_was_shown(form))
    except (InvalidVerdictError, PictureChangedError) as error:
        query = {"with": form.get("with"), "shown": form.get("shown"), **filters.chosen}
        return item_page(request, desk, visitor, review_id, query, sent=RefusedVerdict(form, error))
    _release_unticked(desk, posted, tokens)
    return RedirectResponse(next_address(desk, visitor.reviewer, filters, form.get("next")), 303)


@router.post("/items/{review_id}/skip")
def skip(review_id: ReviewNumber, desk: Desk, posted: Post) -> Response:
    """Skip the item."""
    form, reviewer = posted.form, posted.visitor.reviewer
    desk.work.claims.skip(reviewer, _all_tokens(form, review_id), form.get("reason").strip())
    return RedirectResponse(next_address(desk, reviewer, DeskFilters.of_form(form), form.get("next")), 303)


@router.post("/items/{review_id}/escalate")
def escalate(review_id: ReviewNumber, desk: Desk, posted: Post) -> Response:
    """Escalate the item to a lead."""
    form, reviewer = posted.form, posted.visitor.reviewer
    desk.work.claims.escalate(reviewer, _all_tokens(form, review_id), form.get("reason").strip())
    return RedirectResponse(next_address(desk, reviewer, DeskFilters.of_form(form), form.get("next")), 303)


@router.post("/items/{review_id}/release")
def release(review_id: ReviewNumber, desk: Desk, posted: Post) -> Response:
    """Release all claims, and return to the queue."""
    form, reviewer = posted.form, posted.visitor.reviewer
    desk.work.claims.release(reviewer, [*_all_tokens(form, review_id), *_read(form.all("ahead"))])
    return RedirectResponse(f"{desk.root}/{DeskFilters.of_form(form).query}", 303)


@router.post("/renew")
def renew(desk: Desk, posted: Post) -> Response:
    """Renew the claims; the page's script calls this while the page is open."""
    try:
        until = desk.work.claims.renew(posted.visitor.reviewer, _read(posted.form.all("token")))
    except ReviewConflictError as conflict:
        return JSONResponse({"conflict": conflict.message}, 409)
    return JSONResponse({"until": until.isoformat()})


@router.post("/undo")
def undo(desk: Desk, posted: Post) -> Response:
    """Reverse a verdict and those given together with it, and reopen its item."""
    verdict_id = posted.form.get("verdict")
    if not (verdict_id.isascii() and verdict_id.isdigit() and len(verdict_id) < 19):
        raise ProblemError(422, "this is not the number of a verdict")
    reversal = desk.work.reverse(
        posted.visitor.reviewer, int(verdict_id), whole_group=True, reason=posted.form.get("reason").strip()
    )
    if not reversal.reopened:
        return RedirectResponse(f"{desk.root}/", 303)
    first, *alike = reversal.reopened
    if first.claimed_by != posted.visitor.reviewer.name:
        return RedirectResponse(f"{desk.root}/submissions/{first.decision.submission_id}", 303)
    return RedirectResponse(address_of(desk, first.id, alike, DeskFilters.of_form(posted.form)), 303)


def _answer(desk: DeskService, form: Form, review_id: int) -> Answer:
    """Return the form's answer; a block without ticked labels confirms the flagged ones."""
    if form.get("action") not in {Action.ALLOW.value, Action.BLOCK.value}:
        raise ProblemError(422, "a verdict is allow or block")
    action, ticked = Action(form.get("action")), set(form.all("label"))
    labels = frozenset(ticked - {NO_LABEL})
    if action is Action.BLOCK and not ticked:
        labels = desk.work.browse.flagged(review_id)
    return Answer(action, labels, form.get("reason").strip(), form.get("note").strip())


def _what_was_shown(form: Form) -> dict[str, str | int]:
    return {
        "picture": "clear" if form.get("shown") == "clear" else "veiled",
        "looked_at_together": len(form.all("token")),
    }


def _release_unticked(desk: DeskService, posted: Post, settled: Sequence[ClaimToken]) -> None:
    """Release the similar items that the verdict leaves out."""
    left = [token for token in _read(posted.form.all("beside")) if token not in settled]
    if left:
        desk.work.claims.release(posted.visitor.reviewer, left)


def _tokens(form: Form, review_id: int) -> list[ClaimToken]:
    """Return the claims that the form answers; ProblemError if this item's is not among them."""
    tokens = _read(form.all("token"))
    if review_id not in {token.review_id for token in tokens}:
        raise ProblemError(422, "this form is about another item")
    return tokens


def _all_tokens(form: Form, review_id: int) -> list[ClaimToken]:
    """Return the claims of the item and of all similar ones."""
    return list(dict.fromkeys([*_tokens(form, review_id), *_read(form.all("beside"))]))


def _read(texts: Sequence[str]) -> list[ClaimToken]:
    tokens = []
    for text in texts:
        numbers = ids_in(text)
        if len(numbers) != 2 or text.count(".") != 1:
            raise ProblemError(422, "a claim is an item's number, a dot and the claim's number")
        tokens.append(ClaimToken(*numbers))
    return tokens
