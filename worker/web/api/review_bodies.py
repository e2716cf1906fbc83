"""The bodies of requests about reviews and appeals, and how they are read."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from moderation_client.submission import SHA256_PATTERN
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import models_json_schema

from worker.domain.accounts.reviewer import MAX_NAME_CHARACTERS, Reviewer, Role
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ClaimToken
from worker.domain.reviews.verdict import MAX_LABELS, MAX_NOTE_CHARACTERS, MAX_REASON_CHARACTERS, Answer
from worker.usecases.reviews.open_appeal import MAX_STATEMENT_CHARACTERS
from worker.web.http.bodies import read_json

#: A statement or a note, and what was shown.
MAX_BYTES: Final = 256 * 1024
#: A claimed group, and some.
MAX_CLAIMS: Final = 100

Body = TypeVar("Body", bound=BaseModel)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a name has printable characters only")
    return text


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS), AfterValidator(_printable)]
Label = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Identifier = Annotated[int, Field(ge=1, lt=2**63)]
Reason = Annotated[str, Field(max_length=MAX_REASON_CHARACTERS)]
GivenReason = Annotated[str, Field(min_length=1, max_length=MAX_REASON_CHARACTERS, pattern=r"\S")]


class _Body(BaseModel):
    """A JSON object: unknown fields are refused, and no value is bent to fit."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ReviewerBody(_Body):
    """Who answers: whoever holds the key is believed."""

    name: Name = Field(description="The same person, the same name: it keeps them from answering twice.")
    role: Annotated[Role, Field(strict=False)] = Field(
        Role.REVIEWER, description="A lead answers what is escalated, and can reverse anybody's verdict."
    )
    opt_outs: list[Label] = Field(
        [], max_length=200, description="Labels whose pictures they are not to see."
    )
    severe_per_day: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        None, description="Pictures of severity 4 or 5 that they may see a day, in UTC; null for no cap."
    )

    def reviewer(self) -> Reviewer:
        """Return who it is."""
        return Reviewer(self.name, self.role, frozenset(self.opt_outs), self.severe_per_day)


class _Acting(_Body):
    reviewer: ReviewerBody


class Claim(_Acting):
    """What to claim: the next review that fits, or the one named."""

    review: Identifier | None = Field(None, description="This one; null for the next.")
    queue: Label | None = Field(None, description="Only in this queue.")
    label: Label | None = Field(None, description="Only where this label was flagged.")
    policy: Label | None = Field(None, description="Only under the policy of this name.")
    severity: Annotated[int, Field(ge=1, le=5)] | None = Field(None, description="Only this grave or graver.")
    grouped: bool = Field(True, description="Claim what looks nearly the same with it.")


class HeldClaim(_Body):
    """What shows that a review is in hand."""

    review: Identifier
    claim: Annotated[int, Field(ge=0, lt=2**31)] = Field(description="As the claim answered.")


def _tokens(claims: Sequence[HeldClaim]) -> list[ClaimToken]:
    return list(dict.fromkeys(ClaimToken(one.review, one.claim) for one in claims))


class _Holding(_Acting):
    claims: list[HeldClaim] = Field(min_length=1, max_length=MAX_CLAIMS)

    def tokens(self) -> list[ClaimToken]:
        """Return each claim once, in order."""
        return _tokens(self.claims)


class Renewal(_Holding):
    """Reviews to keep in hand."""


class Release(_Holding):
    """Reviews to give back."""


class Skip(_Holding):
    """Reviews to pass by."""

    reason: GivenReason


class Escalation(_Holding):
    """Reviews to hand on to a lead."""

    reason: GivenReason = Field(description="What a lead has to know.")


class AnsweredClaim(HeldClaim):
    """A claim that is answered, and which bytes the person saw."""

    sha256: Annotated[str, Field(pattern=f"^{SHA256_PATTERN.pattern}$")] | None = Field(
        None,
        description="Of the bytes that your desk showed to the person. Left out, the source is read again"
        " and compared with the bytes that were judged.",
    )


class VerdictBody(_Acting):
    """One answer to all of these reviews."""

    claims: list[AnsweredClaim] = Field(min_length=1, max_length=MAX_CLAIMS)
    action: Literal["allow", "block"]
    labels: list[Label] = Field(
        [], max_length=MAX_LABELS, description="The labels that truly apply, those the model missed too."
    )
    reason: Reason = Field("", description="Why, for whoever the decision hits; some policies demand one.")
    note: Annotated[str, Field(max_length=MAX_NOTE_CHARACTERS)] = Field(
        "", description="For colleagues alone."
    )
    shown: dict[str, Any] = Field({}, description="What the person saw, for the audit log.")

    def tokens(self) -> list[ClaimToken]:
        """Return each claim once, in order."""
        return _tokens(self.claims)

    def digests(self) -> dict[int, str]:
        """Return the SHA-256 of what was shown, by the review's id."""
        return {one.review: one.sha256 for one in self.claims if one.sha256}

    def answer(self) -> Answer:
        """Return what the person says."""
        return Answer(Action(self.action), frozenset(self.labels), self.reason, self.note)


class ReversalBody(_Acting):
    """A verdict to take back."""

    verdict: Identifier
    whole_group: bool = Field(False, description="And all that were given with it at one look.")
    reason: Reason = ""


class AppealBody(_Body):
    """A decision that somebody thinks is wrong."""

    decision: Identifier = Field(description="The decision's id.")
    statement: Annotated[str, Field(max_length=MAX_STATEMENT_CHARACTERS)] = Field(
        "", description="In the words of whoever appeals; the person who answers reads it."
    )


_BODIES: Final = (Claim, Renewal, Release, Skip, Escalation, VerdictBody, ReversalBody, AppealBody)


def components() -> dict[str, Any]:
    """Return the bodies as OpenAPI tells them, by name."""
    wanted = [(body, "validation") for body in _BODIES]
    _, described = models_json_schema(wanted, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    found: dict[str, Any] = described["$defs"]
    return found


def reading(body: type[Body]) -> Callable[[Request], Awaitable[Body]]:
    """Return the dependency that reads a body of this form; a problem with every field that does not fit."""

    async def read(request: Request) -> Body:
        found = await read_json(request, MAX_BYTES)
        try:
            return body.model_validate_json(json.dumps(found))
        except ValidationError as error:
            raise RequestValidationError(
                [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)]
            ) from None

    return read
