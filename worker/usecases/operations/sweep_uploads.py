"""Deletes uploaded pictures that no submission refers to, because the process died or the request failed."""

from dataclasses import dataclass

from worker.images.sources.uploads import KeptPicture, Uploads
from worker.store.engine.database import Database
from worker.store.submissions import submissions


@dataclass(frozen=True, slots=True)
class SweepUploads:
    """Confirm or delete uploads that have been pending for too long; safe in several processes at once."""

    database: Database
    uploads: Uploads

    def __call__(self) -> None:
        """Keep uploads that the ledger refers to and delete the rest; may raise DatabaseUnavailableError."""
        for kept in self.uploads.abandoned():
            if self._is_in_ledger(kept):
                self.uploads.confirm(kept)
            else:
                self.uploads.discard(kept)

    def _is_in_ledger(self, kept: KeptPicture) -> bool:
        with self.database.reading() as session:
            known = submissions.find(session, kept.submission_id)
        return known is not None and (known.source or {}).get("path") == kept.path
