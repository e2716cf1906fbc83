"""Request bodies of reviews and appeals, and how they are parsed."""

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
from worker.usecases.reviews.appeals import MAX_STATEMENT_CHARACTERS
from worker.web.http.bodies import read_json

#: Enough for a statement or a note, and for `shown`.
MAX_BYTES: Final = 256 * 1024
#: More than a claimed group has.
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
    """A JSON object: unknown fields are refused and values are not coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ReviewerBody(_Body):
    """The person who answers; the service trusts the holder of the API key."""

    name: Name = Field(description="The same name for the same person, so that no one answers an item twice.")
    role: Annotated[Role, Field(strict=False)] = Field(
        Role.REVIEWER, description="A lead answers escalated reviews and can reverse anybody's verdict."
    )
    opt_outs: list[Label] = Field(
        [], max_length=200, description="Labels whose pictures this person must not see."
    )
    severe_per_day: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        None,
        description="Pictures of severity 4 or 5 that this person may see a day, in UTC; null for no cap.",
    )

    def reviewer(self) -> Reviewer:
        """Return the reviewer."""
        return Reviewer(self.name, self.role, frozenset(self.opt_outs), self.severe_per_day)


class _Acting(_Body):
    reviewer: ReviewerBody


class Claim(_Acting):
    """What to claim: the next review that matches, or the one named."""

    review: Identifier | None = Field(None, description="The review to claim; null for the next.")
    queue: Label | None = Field(None, description="Only in this queue.")
    label: Label | None = Field(None, description="Only reviews of decisions that flagged this label.")
    policy: Label | None = Field(None, description="Only under the policy of this name.")
    severity: Annotated[int, Field(ge=1, le=5)] | None = Field(None, description="Only this grave or graver.")
    grouped: bool = Field(True, description="Also claim reviews of pictures that look nearly the same.")


class HeldClaim(_Body):
    """A review and its claim."""

    review: Identifier
    claim: Annotated[int, Field(ge=0, lt=2**31)] = Field(description="`claim` of the claimed review.")


def _tokens(claims: Sequence[HeldClaim]) -> list[ClaimToken]:
    return list(dict.fromkeys(ClaimToken(one.review, one.claim) for one in claims))


class _Holding(_Acting):
    claims: list[HeldClaim] = Field(min_length=1, max_length=MAX_CLAIMS)

    def tokens(self) -> list[ClaimToken]:
        """Return each claim once, in order."""
        return _tokens(self.claims)


class Renewal(_Holding):
    """Reviews whose claims are renewed."""


class Release(_Holding):
    """Reviews to release."""


class Skip(_Holding):
    """Reviews to skip."""

    reason: GivenReason


class Escalation(_Holding):
    """Reviews to escalate to a lead."""

    reason: GivenReason = Field(description="What the lead should know.")


class AnsweredClaim(HeldClaim):
    """A claim to answer, and the bytes that the person saw."""

    sha256: Annotated[str, Field(pattern=f"^{SHA256_PATTERN.pattern}$")] | None = Field(
        None,
        description="Of the bytes that your desk showed to the person. If left out, the source is read again"
        " and compared with the judged bytes.",
    )


class VerdictBody(_Acting):
    """One answer to all of these reviews."""

    claims: list[AnsweredClaim] = Field(min_length=1, max_length=MAX_CLAIMS)
    action: Literal["allow", "block"]
    labels: list[Label] = Field(
        [],
        max_length=MAX_LABELS,
        description="The labels that truly apply, also those that the model missed.",
    )
    reason: Reason = Field("", description="Why, for the person it affects; some policies require it.")
    note: Annotated[str, Field(max_length=MAX_NOTE_CHARACTERS)] = Field(
        "", description="Only for colleagues."
    )
    shown: dict[str, Any] = Field({}, description="What the person saw, for the audit log.")

    def tokens(self) -> list[ClaimToken]:
        """Return each claim once, in order."""
        return _tokens(self.claims)

    def digests(self) -> dict[int, str]:
        """Return the SHA-256 of the bytes that were shown, by review id."""
        return {one.review: one.sha256 for one in self.claims if one.sha256}

    def answer(self) -> Answer:
        """Return the person's answer."""
        return Answer(Action(self.action), frozenset(self.labels), self.reason, self.note)


class ReversalBody(_Acting):
    """A verdict to reverse."""

    verdict: Identifier
    whole_group: bool = Field(False, description="Also reverse all verdicts given together with it.")
    reason: Reason = ""


class AppealBody(_Body):
    """A decision that somebody thinks is wrong."""

    decision: Identifier = Field(description="The decision's id.")
    statement: Annotated[str, Field(max_length=MAX_STATEMENT_CHARACTERS)] = Field(
        "", description="In the words of the person who appeals; the reviewer who answers reads it."
    )


_BODIES: Final = (Claim, Renewal, Release, Skip, Escalation, VerdictBody, ReversalBody, AppealBody)


def components() -> dict[str, Any]:
    """Return the OpenAPI schemas of the bodies, by name."""
    wanted = [(body, "validation") for body in _BODIES]
    _, described = models_json_schema(wanted, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    found: dict[str, Any] = described["$defs"]
    return found


def parsing(body: type[Body]) -> Callable[[Request], Awaitable[Body]]:
    """Return a dependency that parses a body of this type; its problem lists every invalid field."""

    async def read(request: Request) -> Body:
        found = await read_json(request, MAX_BYTES)
        try:
            return body.model_validate_json(json.dumps(found))
        except ValidationError as error:
            raise RequestValidationError(
                [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)]
            ) from None

    return read
