"""A policy: which labels there are, the phrases that describe them, and what to do at which score."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property

#: Used where a policy says nothing: an average over ways to say it scores better than a bare noun.
DEFAULT_TEMPLATES = ("a photo of {}", "a picture of {}")


class Action(StrEnum):
    """What happens to a picture, mildest first."""

    ALLOW = "allow"
    REVIEW = "review"
    BLOCK = "block"


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
    #: What happens when the picture cannot be had at all.
    on_error: Action = Action.REVIEW

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the policy's meaning: comments, key order and layout of the file do not change it."""
        meaning = asdict(self)
        meaning["labels"] = sorted(meaning["labels"], key=lambda label: str(label["name"]))
        text = json.dumps(meaning, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def phrases(self) -> Iterator[str]:
        """Yield every phrase that needs a vector, possibly more than once."""
        yield from self.background
        for label in self.labels:
            yield from label.prompts
            yield from label.lookalikes

    def label(self, name: str) -> Label:
        """Return the label called `name`; KeyError where there is none."""
        for label in self.labels:
            if label.name == name:
                return label
        raise KeyError(name)
