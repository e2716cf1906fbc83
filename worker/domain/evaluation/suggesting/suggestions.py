"""Suggestions: what to change in a policy, and the effect that was measured for each change."""

from dataclasses import dataclass
from enum import Enum


class Place(Enum):
    """Which list of a policy a change is about, and whether the phrase comes or goes."""

    BACKGROUND = "background"
    LOOKALIKES = "lookalikes"
    #: The phrase is removed.
    PROMPTS = "prompts"


@dataclass(frozen=True, slots=True)
class Edit:
    """One phrase that is added to a list, or removed from a label's prompts."""

    place: Place
    phrase: str
    #: None for the background, which all labels share.
    label: str | None = None

    @property
    def adds(self) -> bool:
        """Whether the phrase is added."""
        return self.place is not Place.PROMPTS

    @property
    def path(self) -> tuple[str, ...]:
        """The path of the list in the policy: ("labels", "weapons", "lookalikes")."""
        own = (self.place.value,)
        return own if self.label is None else ("labels", self.label, *own)


@dataclass(frozen=True, slots=True)
class Effect:
    """How many flags disappear, of how many; a flag is a picture and a label that it reaches."""

    #: Flags of labels that do not apply, by verdict.
    false_gone: int
    false: int
    #: Flags of labels that do apply, by verdict.
    right_gone: int
    right: int
    #: Flags of pictures without a verdict.
    unjudged_gone: int
    unjudged: int


@dataclass(frozen=True, slots=True)
class Change:
    """A suggested edit, with its effect beyond that of the suggestions before it."""

    edit: Edit
    #: On the half of the pictures that the edit was not chosen on.
    effect: Effect
    #: Some submissions that lose a false flag, or one without a verdict if there are no verdicts.
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PromptErrors:
    """A prompt that is the nearest one in false flags."""

    label: str
    prompt: str
    #: False flags in which it is the nearest prompt of its label, and those left after the additions.
    false: int
    false_left: int
    #: All false flags of the label.
    false_of_label: int
    #: Right flags of the label that exist only because of this prompt, and all of them.
    right_alone: int
    right_of_label: int


@dataclass(frozen=True, slots=True)
class IdlePhrase:
    """A phrase that is never the nearest and without which no picture is decided differently."""

    path: tuple[str, ...]
    phrase: str


@dataclass(frozen=True, slots=True)
class Look:
    """A noun, and the share of pictures that it describes best."""

    noun: str
    share: float


@dataclass(frozen=True, slots=True)
class FalseFlags:
    """False flags of a label for which no change was found; the nouns may become its lookalikes."""

    label: str
    count: int
    #: What their pictures look like, the most frequent first.
    looks: tuple[Look, ...]


@dataclass(frozen=True, slots=True)
class BusyLabel:
    """A label that flags many uploads."""

    label: str
    flagged: int
    uploads: int
    #: What the flagged pictures look like, the most frequent first.
    looks: tuple[Look, ...]

    @property
    def share(self) -> float:
        """The share of uploads that it flags."""
        return self.flagged / self.uploads


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Everything that was found on a sample of different pictures."""

    pictures: int
    #: Pictures with a verdict.
    judged: int
    #: Flags that verdicts say are wrong and right.
    false: int
    right: int
    #: Whether verdicts chose the changes; if not, flags of busy labels alone did.
    by_verdict: bool
    changes: tuple[Change, ...]
    prompts: tuple[PromptErrors, ...]
    busy: tuple[BusyLabel, ...]
    #: Nouns that name clusters of uploads better than any phrase of the policy does.
    unnamed: tuple[Look, ...]
    #: The false flags that are left after all changes, the label with most first.
    left: tuple[FalseFlags, ...]
    #: None if there are too few pictures to say so.
    idle: tuple[IdlePhrase, ...] | None
