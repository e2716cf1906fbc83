"""A policy: which labels there are, the phrases that describe them, and what to do at which score."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from worker.errors import UndecodableKind

_WITHOUT_MEANING: Final = frozenset({"tests", "shadow"})
#: The queue of what no policy routes.
DEFAULT_QUEUE: Final = "default"
#: Came after digests had been stored: where they say nothing, the digest is what it was without them.
_LATER_DEFAULTS: Final[Mapping[str, object]] = {
    "automatic_blocks_per_hour": None,
    "share_of_allowed": 0.0,
    "exclude_from_automatic_block": False,
    "reviewing": {},
    "on_undecodable_kinds": (),
    "on_partly_seen": "review",
}

#: Used where a policy says nothing: an average over ways to say it scores better than a bare noun.
DEFAULT_TEMPLATES = ("a photo of {}", "a picture of {}")


class Action(StrEnum):
    """What happens to a picture, mildest first."""

    ALLOW = "allow"
    REVIEW = "review"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Reviewing:
    """How people review a label, or all of a policy's; None where a label leaves it to its policy."""

    #: Where its reviews wait.
    queue: str | None = None
    #: How long they may wait; None: no deadline.
    within_minutes: int | None = None
    #: Whether a verdict has to say why.
    needs_reason: bool | None = None
    #: The share, 0 to 1, that a second person answers too, without knowing the first answer.
    second_share: float | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """One kind of content that the policy looks for."""

    name: str
    prompts: tuple[str, ...]
    description: str = ""
    #: Harmless things that resemble the label; background for this label alone.
    lookalikes: tuple[str, ...] = ()
    #: Scores from 0 to 1: at or above `review` a person looks, at or above `block` nobody needs to.
    review: float = 0.5
    #: None: never blocked automatically.
    block: float | None = None
    #: 1 (trifling) to 5 (grave); orders the review queue.
    severity: int = 3
    #: A picture that shows this is never blocked at once, whatever else it shows: a person decides.
    exclude_from_automatic_block: bool = False
    reviewing: Reviewing = Reviewing()


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """A picture of the policy's own, and what the policy must make of it."""

    #: Relative to the folder of the policy file.
    picture: str
    #: None where any will do.
    action: Action | None = None
    #: Exactly the flagged labels, in any order; None where any will do.
    labels: frozenset[str] | None = None


@dataclass(frozen=True)
class Policy:
    """All labels that are looked for together, and what harmless uploads look like."""

    name: str
    background: tuple[str, ...]
    labels: tuple[Label, ...]
    description: str = ""
    templates: tuple[str, ...] = DEFAULT_TEMPLATES
    #: What happens to a file that is no picture we will judge.
    on_undecodable: Action = Action.REVIEW
    #: The kinds that are treated otherwise, by name.
    on_undecodable_kinds: tuple[tuple[UndecodableKind, Action], ...] = ()
    #: What happens when the picture cannot be had at all.
    on_error: Action = Action.REVIEW
    #: What happens at least to a picture of which less than half was looked at, in time or in area.
    on_partly_seen: Action = Action.REVIEW
    #: Beyond this many in an hour, what would be blocked goes to a person; None: no limit.
    automatic_blocks_per_hour: int | None = None
    #: The share, 0 to 1, of allowed pictures that people see all the same: it shows what is missed.
    share_of_allowed: float = 0.0
    #: For labels that do not say otherwise.
    reviewing: Reviewing = Reviewing()
    #: Scored on every job beside the policies in force; decides nothing.
    shadow: bool = False
    #: What must hold before the policy is put in force.
    tests: tuple[PolicyTest, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the policy's meaning: comments, key order and layout of the file do not change it.

        Neither do its tests, which decide nothing, nor whether it is a shadow: what a shadow would have
        decided is what the same policy in force decides.
        """
        meaning = {key: value for key, value in asdict(self).items() if key not in _WITHOUT_MEANING}
        meaning["labels"] = sorted(
            (_without_later_defaults(label) for label in meaning["labels"]),
            key=lambda label: str(label["name"]),
        )
        meaning = _without_later_defaults(meaning)
        text = json.dumps(meaning, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def phrases(self) -> Iterator[str]:
        """Yield every phrase that needs a vector, possibly more than once."""
        for _, phrases in self.phrase_lists():
            yield from phrases

    def phrase_lists(self) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Yield the phrases list by list, with the keys that lead there: ("labels", "weapons", "prompts")."""
        yield ("background",), self.background
        for label in self.labels:
            yield ("labels", label.name, "prompts"), label.prompts
            yield ("labels", label.name, "lookalikes"), label.lookalikes

    def label(self, name: str) -> Label:
        """Return the label called `name`; KeyError where there is none."""
        return self.labels[self.places[name]]

    def action_for(self, kind: UndecodableKind) -> Action:
        """Return what happens to a file of this kind, which cannot be judged."""
        return dict(self.on_undecodable_kinds).get(kind, self.on_undecodable)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Each label's place among the labels, from 0, by name."""
        return {label.name: place for place, label in enumerate(self.labels)}


def _without_later_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    said = {key: value for key, value in values["reviewing"].items() if value is not None}
    values = {**values, "reviewing": said}
    return {
        key: value
        for key, value in values.items()
        if key not in _LATER_DEFAULTS or value != _LATER_DEFAULTS[key]
    }
