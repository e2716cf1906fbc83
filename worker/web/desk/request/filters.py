"""Which reviews a person wants to see, as the address of a page says it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from worker.domain.reviews.review import ReviewKind
from worker.store.reviews.reviews import ReviewFilters
from worker.web.desk.request.forms import Form

NAMES: Final = ("queue", "label", "policy", "kind", "age")
#: What `age` can be, in minutes: at least so old.
AGES: Final[Mapping[str, int]] = {"1h": 60, "4h": 240, "1d": 1440, "3d": 4320}
_MAX_CHARACTERS: Final = 128
#: The kinds that people may know of.
KINDS: Final = tuple(kind for kind in ReviewKind if not kind.is_blind)


@dataclass(frozen=True, slots=True)
class DeskFilters:
    """What was chosen; empty leaves a field open."""

    queue: str = ""
    label: str = ""
    policy: str = ""
    kind: str = ""
    age: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "DeskFilters":
        """Read a query; what makes no sense is left out."""
        found = {name: values.get(name, "")[:_MAX_CHARACTERS] for name in NAMES}
        if found["kind"] not in set(KINDS):
            found["kind"] = ""
        if found["age"] not in AGES:
            found["age"] = ""
        return cls(**found)

    @classmethod
    def of_form(cls, form: Form) -> "DeskFilters":
        """Read the fields of a form that a page carried along."""
        return cls.of({name: form.get(f"filter-{name}") for name in NAMES})

    @property
    def chosen(self) -> dict[str, str]:
        """Return what is not open."""
        return {name: value for name in NAMES if (value := getattr(self, name))}

    @property
    def query(self) -> str:
        """Return the end of an address that says so, empty where all is open."""
        return f"?{urlencode(self.chosen)}" if self.chosen else ""

    def for_store(self, now: datetime) -> ReviewFilters:
        """Return the same for the queue."""
        until = now - timedelta(minutes=AGES[self.age]) if self.age else None
        return ReviewFilters(
            queue=self.queue or None,
            label=self.label or None,
            policy=self.policy or None,
            kind=ReviewKind(self.kind) if self.kind else None,
            until=until,
        )
