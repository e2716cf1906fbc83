"""Lets a re-upload of the same bytes inherit what a person said of them, under the same policy version."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class InheritVerdict:
    """Inherit within the transaction that records the decision."""

    enabled: bool
    #: As in SettleReview.
    callback: Mapping[str, Any] | None = None

    def __call__(self, session: Session, decision_id: int) -> bool:
        """Return whether a verdict now stands on this decision, so that no review is needed."""
        raise NotImplementedError
