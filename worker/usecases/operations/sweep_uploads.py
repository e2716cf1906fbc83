"""Deletes uploaded pictures that no submission refers to: their process died, or their request failed."""

from dataclasses import dataclass

from worker.images.sources.uploads import KeptPicture, Uploads
from worker.store.engine.database import Database
from worker.store.submissions import submissions


@dataclass(frozen=True, slots=True)
class SweepUploads:
    """Settle every upload that has been pending for too long; safe in many processes at once."""

    database: Database
    uploads: Uploads

    def __call__(self) -> None:
        """Keep what the ledger refers to and delete the rest; DatabaseUnavailableError of the ledger."""
        for kept in self.uploads.abandoned():
            if self._is_in_ledger(kept):
                self.uploads.confirm(kept)
            else:
                self.uploads.discard(kept)

    def _is_in_ledger(self, kept: KeptPicture) -> bool:
        with self.database.reading() as session:
            known = submissions.find(session, kept.submission_id)
        return known is not None and (known.source or {}).get("path") == kept.path
