"""The format of a policy file: every key, its type and limits, and what it means."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from moderation_client.submission import POLICY_NAME_PATTERN
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from worker.domain.policies.policy import DEFAULT_CAPTIONS, DEFAULT_QUEUE, DEFAULT_TEMPLATES, Action

MAX_PHRASE_CHARACTERS: Final = 300
MAX_DESCRIPTION_CHARACTERS: Final = 4000
#: Over all labels and the background: more would slow down every picture, and be hard to maintain.
MAX_PHRASES: Final = 10_000
MAX_LABELS: Final = 1_000
#: Texts without content need no thousands, and each is compared with every text.
MAX_CAPTIONS: Final = 500
MAX_WORD_CHARACTERS: Final = 100
#: Of one label, and over all labels: each is looked for in every text.
MAX_WORDS: Final = 500
MAX_ALL_WORDS: Final = 5_000
#: The number that CLIP's authors used for ImageNet.
MAX_TEMPLATES: Final = 80
#: Each test's picture is judged whenever the file is saved.
MAX_TESTS: Final = 500
#: A year; a longer time is no deadline.
MAX_REVIEW_MINUTES: Final = 365 * 24 * 60
#: An absolute path, or one with `..`: a test's picture must be in the folder of its policy.
LEAVES_THE_FOLDER: Final = r"^/|(^|/)\.\.(/|$)"
#: Tags of the two ways to write `on_undecodable`, and `text`; the locations of pydantic's errors have them.
BY_WORD: Final = "<by word>"
BY_KIND: Final = "<by kind>"
AS_SWITCH: Final = "<as switch>"
AS_KEYS: Final = "<as keys>"
#: The same for thresholds: a score, or a target.
BY_SCORE: Final = "<by score>"
BY_TARGET: Final = "<by target>"
TAGS: Final = frozenset({BY_WORD, BY_KIND, AS_SWITCH, AS_KEYS, BY_SCORE, BY_TARGET})
#: An example is a picture that was judged before, named by the digest of its bytes.
SHA256_PATTERN: Final = re.compile(r"^[0-9a-f]{64}$")
#: Beyond these, examples no longer improve a label.
MAX_EXAMPLES: Final = 16

Name = Annotated[str, Field(pattern=f"^{POLICY_NAME_PATTERN.pattern}$")]
#: Not only white space.
Phrase = Annotated[str, Field(pattern=r"\S", max_length=MAX_PHRASE_CHARACTERS)]
TEMPLATE_PATTERN: Final = re.compile(r"^[^{}]*\{\}[^{}]*$")
Template = Annotated[str, Field(pattern=TEMPLATE_PATTERN.pattern, max_length=MAX_PHRASE_CHARACTERS)]
Word = Annotated[str, Field(pattern=r"\S", max_length=MAX_WORD_CHARACTERS)]
Text = Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARACTERS)]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
#: 0 is refused by `later_rules`, which does not apply to policies that were in force before.
Threshold = Annotated[
    float, Field(ge=0, le=1, allow_inf_nan=False, json_schema_extra={"exclusiveMinimum": 0})
]
#: A share that a target can name: every picture, or none, cannot be shown by counting.
Share = Annotated[float, Field(ge=0.5, le=0.999, allow_inf_nan=False)]
Minutes = Annotated[int, Field(ge=1, le=MAX_REVIEW_MINUTES)]
#: Not strict: strict mode would require a member of the enumeration, and a file has only its value.
ActionWord = Annotated[Action, Field(strict=False)]


class _Entry(BaseModel):
    """A mapping in the file: unknown keys are refused, and values are not coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _never_both(schema: dict[str, Any]) -> None:
    """Add what `rules` also checks: a label has a block threshold or excludes blocks, not both."""
    schema["not"] = {
        "required": ["block", "exclude_from_automatic_block"],
        "properties": {"exclude_from_automatic_block": {"const": True}},
    }


class RecallEntry(_Entry):
    """A target of `review`: the share of what the label is for that a person should see."""

    recall: Share = Field(description="0.95: 19 of 20 pictures that show it go to a person, or are blocked.")


class PrecisionEntry(_Entry):
    """A target of `block`: the share of automatic blocks that are right."""

    precision: Share = Field(description="0.98: at most one block in fifty is wrong.")


def _threshold_form(value: Any) -> str:
    return BY_TARGET if isinstance(value, Mapping | RecallEntry | PrecisionEntry) else BY_SCORE


class LabelEntry(_Entry):
    """A kind of content to look for."""

    model_config = ConfigDict(json_schema_extra=_never_both)

    description: Text = Field("", description="What the label is for, for the people who review.")
    prompts: list[Phrase] = Field(
        min_length=1,
        description="What it looks like, one phrase for each way to look.",
    )
    lookalikes: list[Phrase] = Field(
        [], description="Harmless things that resemble it: background phrases for this label alone."
    )
    words: list[Word] = Field(
        [],
        max_length=MAX_WORDS,
        description="Words in a submission's text that make the label likelier: whole words, in any case. "
        "They need `text` in the policy.",
    )
    review: Annotated[
        Annotated[Threshold, Tag(BY_SCORE)] | Annotated[RecallEntry, Tag(BY_TARGET)],
        Discriminator(_threshold_form),
    ] = Field(
        0.5,
        description="A person looks at a picture with this score, 0 to 1, or a higher one. Or a target for "
        "`moderate policy learn`, such as {recall: 0.95}; until it has learned, 0.5.",
    )
    block: (
        Annotated[
            Annotated[Threshold, Tag(BY_SCORE)] | Annotated[PrecisionEntry, Tag(BY_TARGET)],
            Discriminator(_threshold_form),
        ]
        | None
    ) = Field(
        None,
        description="A picture with this score or a higher one is blocked at once. Leave it out for never. "
        "Or a target for `moderate policy learn`, such as {precision: 0.98}; until it has learned, never.",
    )
    examples: list[Annotated[str, Field(pattern=SHA256_PATTERN.pattern)]] = Field(
        [],
        max_length=MAX_EXAMPLES,
        description="Pictures that show it, by the SHA-256 of their bytes, for `moderate policy learn`.",
    )
    severity: Annotated[int, Field(ge=1, le=5)] = Field(
        3, description="1 (trifling) to 5 (grave): graver pictures come first in the review queue."
    )
    exclude_from_automatic_block: bool = Field(
        False,
        description="true: a picture that shows this is never blocked at once, whatever else it shows. "
        "A person decides.",
    )
    queue: Name | None = Field(
        None,
        description="The queue in which its reviews wait. Leave it out for the one under `reviews`. If "
        "several labels are flagged, the gravest that names a queue decides.",
    )
    review_within_minutes: Minutes | None = Field(
        None,
        description="How many minutes a review may wait; the shortest of the flagged labels counts. Leave it "
        "out for the time under `reviews`.",
    )
    needs_reason: bool | None = Field(
        None,
        description="true: a verdict about it says why. Leave it out for what `reviews` says.",
    )
    second_review: Score | None = Field(
        None,
        description="This share of its verdicts, 0 to 1, is answered by a second person too, who does not "
        "know the first answer; 1 is every one. Leave it out for the share under `reviews`.",
    )


class LimitsEntry(_Entry):
    """How much may happen without a person."""

    automatic_blocks_per_hour: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="After this many automatic blocks within an hour, what would be blocked goes to a person "
        "instead. Leave it out for no limit.",
    )


class AuditEntry(_Entry):
    """Which allowed pictures people review anyway."""

    share_of_allowed: Score = Field(
        0.0,
        description="This share of the allowed pictures, 0 to 1, goes to reviewers, to show what is "
        "missed. 0.01 is one in a hundred.",
    )


class ReviewsEntry(_Entry):
    """How people review labels that do not say otherwise."""

    queue: Name = Field(DEFAULT_QUEUE, description="The queue in which reviews wait.")
    review_within_minutes: Minutes | None = Field(
        None, description="How many minutes a review may wait. Leave it out for no deadline."
    )
    needs_reason: bool = Field(False, description="true: every verdict says why.")
    second_review: Score = Field(
        0.0,
        description="This share of the verdicts, 0 to 1, is answered by a second person too, who does not "
        "know the first answer. 0.05 is one in twenty.",
    )


class UndecodableEntry(_Entry):
    """What happens to files that cannot be judged, by their kind."""

    default: ActionWord = Field(
        Action.REVIEW, description="What happens to every kind that is not named: allow, review or block."
    )
    empty: ActionWord | None = Field(None, description="Nothing is in the file.")
    truncated: ActionWord | None = Field(None, description="A picture whose end is missing.")
    broken: ActionWord | None = Field(None, description="A picture that cannot be decoded.")
    too_large: ActionWord | None = Field(
        None, description="Beyond a limit of this deployment: bytes, pixels, frames, memory or time."
    )
    svg: ActionWord | None = Field(None, description="An SVG drawing. Browsers show it.")
    pdf: ActionWord | None = Field(None, description="A PDF.")
    tiff: ActionWord | None = Field(None, description="A TIFF picture, or a camera's raw file of that form.")
    ico: ActionWord | None = Field(None, description="An icon or a cursor. Browsers show it.")
    jpeg_2000: ActionWord | None = Field(None, description="A JPEG 2000 picture.")
    jpeg_xl: ActionWord | None = Field(None, description="A JPEG XL picture.")
    heic: ActionWord | None = Field(
        None,
        description="A HEIC picture, if workers lack the extra `heic`; with it they judge such pictures.",
    )
    photoshop: ActionWord | None = Field(None, description="A Photoshop file.")
    video: ActionWord | None = Field(None, description="A video.")
    audio: ActionWord | None = Field(None, description="A sound file.")
    office: ActionWord | None = Field(None, description="A document, table or presentation.")
    archive: ActionWord | None = Field(None, description="A ZIP file or another archive.")
    other: ActionWord | None = Field(None, description="Anything else.")


class TextEntry(_Entry):
    """How the texts of submissions are read."""

    background: list[Phrase] = Field(
        list(DEFAULT_CAPTIONS),
        min_length=1,
        max_length=MAX_CAPTIONS,
        description="Captions without content, as your users write them. A text that is nearest to one of "
        "these adds nothing.",
    )


def _text_form(value: Any) -> str:
    return AS_KEYS if isinstance(value, Mapping | TextEntry) else AS_SWITCH


def _form(value: Any) -> str:
    return BY_KIND if isinstance(value, Mapping | UndecodableEntry) else BY_WORD


class ExpectationEntry(_Entry):
    """What the policy must make of the picture: an action, the flagged labels, or both."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    action: ActionWord | None = Field(
        None, description="allow, review or block. Leave it out if any will do."
    )
    labels: list[str] | None = Field(
        None,
        max_length=MAX_LABELS,
        description="Exactly the labels that are flagged, in any order; [] for none. Leave it out if any "
        "will do.",
    )


class PolicyTestEntry(_Entry):
    """A picture, and what the policy must make of it."""

    picture: Annotated[
        str,
        Field(
            pattern=r"\S",
            max_length=MAX_PHRASE_CHARACTERS,
            json_schema_extra={"not": {"pattern": LEAVES_THE_FOLDER}},
        ),
    ] = Field(description="The picture's file, in the folder of the policy or in one below it.")
    expect: ExpectationEntry = Field(description="What the policy must make of the picture.")


class PolicyEntry(_Entry):
    """Which pictures need attention, in words. policies/README.md explains it by example."""

    name: Name = Field(
        description="The policy's name, which is also the file's: `stickers` is in stickers.yaml."
    )
    description: Text = Field("", description="What the policy is for.")
    templates: list[Template] = Field(
        list(DEFAULT_TEMPLATES),
        min_length=1,
        max_length=MAX_TEMPLATES,
        description="Sentences that each phrase is put into, at {}; they name the kind of picture.",
    )
    background: list[Phrase] = Field(
        min_length=1,
        description="What harmless uploads show, in concrete phrases. A label must beat them together.",
    )
    labels: dict[Name, LabelEntry] = Field(
        min_length=1,
        max_length=MAX_LABELS,
        description="What to look for. Labels do not influence each other.",
    )
    text: Annotated[
        Annotated[bool, Tag(AS_SWITCH)] | Annotated[TextEntry, Tag(AS_KEYS)], Discriminator(_text_form)
    ] = Field(
        False,
        description="true: the text that comes with a picture, such as its caption, can raise a score, and "
        "never lowers one. Or a mapping with captions of your own.",
    )
    on_undecodable: Annotated[
        Annotated[ActionWord, Tag(BY_WORD)] | Annotated[UndecodableEntry, Tag(BY_KIND)], Discriminator(_form)
    ] = Field(
        Action.REVIEW,
        description="What happens to a file that is no picture: allow, review or block, or a mapping with "
        "an action for each kind of file.",
    )
    on_error: ActionWord = Field(
        Action.REVIEW, description="What happens when the picture cannot be had: allow, review or block."
    )
    on_partly_seen: ActionWord = Field(
        Action.REVIEW,
        description="What happens at least to a picture of which less than half was looked at, such as a "
        "long slide show: allow, review or block.",
    )
    limits: LimitsEntry = Field(
        default_factory=LimitsEntry, description="How much may happen without a person."
    )
    audit: AuditEntry = Field(
        default_factory=AuditEntry,
        description="Which allowed pictures people review anyway, to learn what is missed.",
    )
    reviews: ReviewsEntry = Field(
        default_factory=ReviewsEntry,
        description="How people review what is flagged: the queue, the time, and second looks.",
    )
    shadow: bool = Field(
        False,
        description="true: the policy is tried on every upload beside those in force, and decides nothing.",
    )
    tests: list[PolicyTestEntry] = Field(
        [],
        max_length=MAX_TESTS,
        description="Pictures and what must come of them. A file whose tests fail is not put in force.",
    )
