"""A policy: its labels, the phrases that describe them, and the thresholds for each action."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from worker.domain.policies.stored_policy import LearnedThresholds
from worker.errors import UndecodableKind

#: Keys that change no decision, and so are not part of the digest.
_WITHOUT_MEANING: Final = frozenset({"tests", "shadow", "examples", "review_recall", "block_precision"})
#: The review queue if the policy names none.
DEFAULT_QUEUE: Final = "default"
#: Keys that were added after digests had been stored. A default is left out of the digest, which therefore
#: stays what it was before the key existed.
_LATER_DEFAULTS: Final[Mapping[str, object]] = {
    "automatic_blocks_per_hour": None,
    "share_of_allowed": 0.0,
    "exclude_from_automatic_block": False,
    "reviewing": {},
    "on_undecodable_kinds": (),
    "on_partly_seen": "review",
    "scoring": "best",
    "learned": "",
    "captions": None,
    "words": (),
}

#: Used if a policy has no templates: an average over several sentences scores better than a bare noun.
DEFAULT_TEMPLATES = ("a photo of {}", "a picture of {}")

#: Captions without content, if a policy that reads texts names none. Every language that is common among the
#: uploads belongs here. A change of this list changes what `text: true` means, and so the digest.
DEFAULT_CAPTIONS: Final = (
    "nice day",
    "good morning",
    "good night",
    "hello everyone",
    "what do you think?",
    "check this out",
    "look at this",
    "love it",
    "so happy",
    "no words",
    "new post",
    "new profile picture",
    "throwback",
    "finally weekend",
    "happy birthday",
    "thank you",
    "best day ever",
    "just for fun",
    "link in bio",
    "follow me for more",
    "for sale",
    "price on request",
    "out now",
    "my new photo",
    "a picture",
    "untitled",
    "screenshot",
    "IMG_1234.jpg",
    "photo 1 of 3",
    "lol",
)


class Action(StrEnum):
    """What happens to a picture, mildest first."""

    ALLOW = "allow"
    REVIEW = "review"
    BLOCK = "block"


class Scoring(StrEnum):
    """How a label's phrases are weighed against the background; see `moderation.scoring`."""

    #: The best prompt against the best other phrase: the rule until version 0.2.
    BEST = "best"
    #: All of them together, by log-sum-exp.
    TOGETHER = "together"


@dataclass(frozen=True, slots=True)
class Reviewing:
    """How people review a label, or all labels of a policy; None if a label inherits its policy's value."""

    #: The queue in which its reviews wait.
    queue: str | None = None
    #: How long they may wait; None: no deadline.
    within_minutes: int | None = None
    #: Whether a verdict must give a reason.
    needs_reason: bool | None = None
    #: The share of verdicts, 0 to 1, that a second person answers without knowing the first answer.
    second_share: float | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """One kind of content that the policy looks for."""

    name: str
    prompts: tuple[str, ...]
    description: str = ""
    #: Harmless things that resemble the label; background for this label alone.
    lookalikes: tuple[str, ...] = ()
    #: Scores from 0 to 1: at or above `review` a person decides, at or above `block` the policy blocks.
    review: float = 0.5
    #: None: never blocked automatically.
    block: float | None = None
    #: 1 (trifling) to 5 (grave); orders the review queue.
    severity: int = 3
    #: A picture that shows this is never blocked at once, whatever else it shows: a person decides.
    exclude_from_automatic_block: bool = False
    reviewing: Reviewing = Reviewing()
    #: Targets that learning turns into thresholds: the share that is found, that of blocks that are right.
    review_recall: float | None = None
    block_precision: float | None = None
    #: SHA-256 of pictures that show the label, for learning.
    examples: tuple[str, ...] = ()
    #: Raise the score if a submission's text contains one of them; only in a policy that reads texts.
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """A picture, and the decision that the policy must make on it."""

    #: Relative to the folder of the policy file.
    picture: str
    #: None if any action passes.
    action: Action | None = None
    #: Exactly the flagged labels, in any order; None if any labels pass.
    labels: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Captions:
    """How a policy reads the texts of submissions."""

    #: Texts without content: what a text says must be nearer to a label than to these.
    background: tuple[str, ...] = DEFAULT_CAPTIONS


@dataclass(frozen=True)
class Policy:
    """Labels that are scored together against one background of harmless phrases."""

    name: str
    background: tuple[str, ...]
    labels: tuple[Label, ...]
    description: str = ""
    templates: tuple[str, ...] = DEFAULT_TEMPLATES
    #: What happens to a file that is not a picture that can be judged.
    on_undecodable: Action = Action.REVIEW
    #: The kinds of file that have another action, by name.
    on_undecodable_kinds: tuple[tuple[UndecodableKind, Action], ...] = ()
    #: What happens when the picture cannot be read from its source.
    on_error: Action = Action.REVIEW
    #: The mildest action for a picture of which less than half was judged, by time or by area.
    on_partly_seen: Action = Action.REVIEW
    #: Beyond this number of blocks an hour, pictures go to review instead; None: no limit.
    automatic_blocks_per_hour: int | None = None
    #: The share of allowed pictures, 0 to 1, that people review anyway, to measure what is missed.
    share_of_allowed: float = 0.0
    #: Defaults for the labels.
    reviewing: Reviewing = Reviewing()
    #: A shadow is scored on every job beside the policies in force, and decides nothing.
    shadow: bool = False
    #: All must pass before the policy is put in force.
    tests: tuple[PolicyTest, ...] = ()
    #: No key of the file: versions from the database keep the rule that they decided by.
    scoring: Scoring = Scoring.TOGETHER
    #: SHA-256 of what it learned from verdicts; empty if nothing.
    learned: str = ""
    #: None: texts of submissions are ignored.
    captions: Captions | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the policy's meaning: comments, key order and layout of the file do not change it.

        Neither do its tests, examples and targets, which decide nothing by themselves, nor `shadow`: a shadow
        decides what the same policy would decide in force.
        """
        meaning = asdict(self)
        meaning["labels"] = sorted(
            (_meaning(label) for label in meaning["labels"]),
            key=lambda label: str(label["name"]),
        )
        meaning = _meaning(meaning)
        text = json.dumps(meaning, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def with_learned(self, learned: LearnedThresholds | None) -> "Policy":
        """Return the version that has learned this; its thresholds replace the targets they follow from."""
        if learned is None:
            return self
        found = {name: (review, block) for name, review, block in learned.thresholds}
        labels = (_with_thresholds(label, *found.get(label.name, (None, None))) for label in self.labels)
        return replace(self, labels=tuple(labels), learned=learned.digest)

    def phrases(self) -> Iterator[str]:
        """Yield every phrase that needs a vector, possibly more than once."""
        for _, phrases in self.phrase_lists():
            yield from phrases

    @property
    def neutral_captions(self) -> tuple[str, ...]:
        """Texts without content, which need a vector too; empty if the policy reads no texts."""
        return self.captions.background if self.captions else ()

    def phrase_lists(self) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Yield each list of phrases with its path in the policy: ("labels", "weapons", "prompts")."""
        yield ("background",), self.background
        for label in self.labels:
            yield ("labels", label.name, "prompts"), label.prompts
            yield ("labels", label.name, "lookalikes"), label.lookalikes

    def label(self, name: str) -> Label:
        """Return the label called `name`; KeyError if it does not exist."""
        return self.labels[self.places[name]]

    def action_for(self, kind: UndecodableKind) -> Action:
        """Return the action for an undecodable file of this kind."""
        return dict(self.on_undecodable_kinds).get(kind, self.on_undecodable)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Each label's index among the labels, by name."""
        return {label.name: place for place, label in enumerate(self.labels)}


def _with_thresholds(label: Label, review: float | None, block: float | None) -> Label:
    """Return the label with those of the thresholds for which it names a target."""
    if label.review_recall is not None and review is not None:
        label = replace(label, review=review)
    if label.block_precision is not None and block is not None:
        # What is blocked is at least reviewed.
        label = replace(label, block=max(block, label.review))
    return label


def _meaning(values: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in values["reviewing"].items() if value is not None}
    values = {**values, "reviewing": given}
    return {
        key: value
        for key, value in values.items()
        if key not in _WITHOUT_MEANING and (key not in _LATER_DEFAULTS or value != _LATER_DEFAULTS[key])
    }
