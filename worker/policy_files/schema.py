"""The format of a policy file: every key, its type and limits, and what it means."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from worker.domain.policy import DEFAULT_TEMPLATES, Action
from worker.domain.submission import POLICY_NAME_PATTERN

MAX_PHRASE_CHARACTERS: Final = 300
MAX_DESCRIPTION_CHARACTERS: Final = 4000
#: Over all labels and the background: more would make every picture slow, and nobody could oversee it.
MAX_PHRASES: Final = 10_000
MAX_LABELS: Final = 1_000
#: As many as CLIP's authors used for ImageNet.
MAX_TEMPLATES: Final = 80

Name = Annotated[str, Field(pattern=f"^{POLICY_NAME_PATTERN.pattern}$")]
#: Something is in it besides white space.
Phrase = Annotated[str, Field(pattern=r"\S", max_length=MAX_PHRASE_CHARACTERS)]
Template = Annotated[str, Field(pattern=r"^[^{}]*\{\}[^{}]*$", max_length=MAX_PHRASE_CHARACTERS)]
Text = Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARACTERS)]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
#: Strictness would ask for the enumeration itself, and a file has only its word.
ActionWord = Annotated[Action, Field(strict=False)]


class _Entry(BaseModel):
    """A mapping of the file: unknown keys are refused, and no value is bent to fit."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LabelEntry(_Entry):
    """One label: a kind of content to look for."""

    description: Text = Field("", description="What the label is for, for the people who review.")
    prompts: list[Phrase] = Field(
        min_length=1,
        description="What it looks like, one phrase for each way to look. The most similar one counts.",
    )
    lookalikes: list[Phrase] = Field(
        [], description="Harmless things that resemble it: background phrases for this label alone."
    )
    review: Score = Field(
        0.5, description="A person looks at a picture with this score, 0 to 1, or a higher one."
    )
    block: Score | None = Field(
        None,
        description="A picture with this score or a higher one is blocked at once. Leave it out for never.",
    )
    severity: Annotated[int, Field(ge=1, le=5)] = Field(
        3, description="1 (trifling) to 5 (grave): graver pictures come first in the review queue."
    )


class PolicyEntry(_Entry):
    """A policy file as a whole."""

    name: Name = Field(
        description="The policy's name, which is also the file's: `stickers` is in stickers.yaml."
    )
    description: Text = Field("", description="What the policy is for.")
    templates: list[Template] = Field(
        list(DEFAULT_TEMPLATES),
        min_length=1,
        max_length=MAX_TEMPLATES,
        description="Sentences that each phrase stands in, at {}; they say what kind of pictures these are.",
    )
    background: list[Phrase] = Field(
        min_length=1,
        description="What harmless uploads show, in concrete phrases. A label must beat the nearest one.",
    )
    labels: dict[Name, LabelEntry] = Field(
        min_length=1,
        max_length=MAX_LABELS,
        description="What to look for. Labels do not influence each other.",
    )
    on_undecodable: ActionWord = Field(
        Action.REVIEW, description="What happens to a file that is no picture: allow, review or block."
    )
    on_error: ActionWord = Field(
        Action.REVIEW, description="What happens when the picture cannot be had: allow, review or block."
    )
