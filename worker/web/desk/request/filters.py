"""The queue's filters, as query parameters of a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from worker.domain.reviews.review import ReviewKind
from worker.store.reviews.review_search import ReviewFilters
from worker.web.desk.request.forms import Form

NAMES: Final = ("queue", "label", "policy", "kind", "age")
#: Values of `age`: the minimum age in minutes.
AGES: Final[Mapping[str, int]] = {"1h": 60, "4h": 240, "1d": 1440, "3d": 4320}
_MAX_CHARACTERS: Final = 128
#: The kinds that reviewers may see.
KINDS: Final = tuple(kind for kind in ReviewKind if not kind.is_blind)


@dataclass(frozen=True, slots=True)
class DeskFilters:
    """The chosen filters; an empty field does not filter."""

    queue: str = ""
    label: str = ""
    policy: str = ""
    kind: str = ""
    age: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "DeskFilters":
        """Parse a query; invalid values are dropped."""
        found = {name: values.get(name, "")[:_MAX_CHARACTERS] for name in NAMES}
        if found["kind"] not in set(KINDS):
            found["kind"] = ""
        if found["age"] not in AGES:
            found["age"] = ""
        return cls(**found)

    @classmethod
    def of_form(cls, form: Form) -> "DeskFilters":
        """Parse the hidden filter fields of a form."""
        return cls.of({name: form.get(f"filter-{name}") for name in NAMES})

    @property
    def chosen(self) -> dict[str, str]:
        """Return the fields that filter."""
        return {name: value for name in NAMES if (value := getattr(self, name))}

    @property
    def query(self) -> str:
        """Return the query string, empty if nothing filters."""
        return f"?{urlencode(self.chosen)}" if self.chosen else ""

    def for_store(self, now: datetime) -> ReviewFilters:
        """Return the filters for a search in the store."""
        until = now - timedelta(minutes=AGES[self.age]) if self.age else None
        return ReviewFilters(
            queue=self.queue or None,
            label=self.label or None,
            policy=self.policy or None,
            kind=ReviewKind(self.kind) if self.kind else None,
            until=until,
        )
