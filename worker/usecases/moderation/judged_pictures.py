"""Reads the picture of a decision again, and compares it with the bytes that were judged."""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from moderation_client.messages import recorded_source
from moderation_client.submission import Source

from worker.domain.moderation.picture import PictureState
from worker.domain.reviews.review import ClaimToken
from worker.errors import ModerationError, PictureChangedError, SourceMissingError, UnavailableError
from worker.images.sources.reader import ImageReader
from worker.store.engine.database import Database
from worker.store.reviews import audit_log, golden_items, review_sources, reviews
from worker.store.reviews.review_sources import ReviewSource
from worker.store.reviews.reviews import Review

#: Pictures that one check reads concurrently, and checks that run concurrently: they must not take all forty
#: threads of a web process.
_READS_AT_ONCE: Final = 8
_CHECKS_AT_ONCE: Final = 8
_SLOT_SECONDS: Final = 1.0
#: How many claims this process remembers whose pictures it has shown, and for how long.
_REMEMBERED: Final = 4096
_REMEMBERED_SECONDS: Final = 900.0
#: The actor in the audit log when the service, not a person, found something.
_SERVICE: Final = "the service"


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A picture's current bytes: SAME as those judged, or NOT_JUDGED if no digest is recorded."""

    data: bytes = field(repr=False)
    sha256: str
    state: PictureState


@dataclass(frozen=True, slots=True)
class ReadJudgedPicture:
    """Read the picture of a decision from its source."""

    database: Database
    reader: ImageReader

    def __call__(self, submission_id: str, decision_id: int | None = None) -> FoundPicture:
        """Return the bytes; without a `decision_id`, those of the newest decision on the submission.

        PictureChangedError if the bytes are not those that were judged, which is also noted on the open
        reviews of the decision; another ModerationError if they cannot be read.
        """
        recorded = self.recorded(submission_id, decision_id)
        data = self.reader.read(source_of(recorded))
        sha256 = hashlib.sha256(data).hexdigest()
        if recorded.sha256 is None:
            return FoundPicture(data, sha256, PictureState.NOT_JUDGED)
        if sha256 != recorded.sha256:
            self._note_changed(recorded, sha256)
            raise changed()
        return FoundPicture(data, sha256, PictureState.SAME)

    def recorded(self, submission_id: str, decision_id: int | None = None) -> ReviewSource:
        """Return the recorded source of the picture; SourceMissingError if there is no decision on it."""
        with self.database.reading() as session:
            found = review_sources.find(session, submission_id, decision_id)
        if found is None:
            raise SourceMissingError("no decision on this picture is recorded")
        return found

    def _note_changed(self, recorded: ReviewSource, found: str) -> None:
        with self.database.transaction() as session:
            if not reviews.note_picture_changed(session, recorded.decision_id):
                return
            audit_log.note(
                session,
                _SERVICE,
                audit_log.PICTURE_CHANGED,
                submission_id=recorded.submission_id,
                judged=recorded.sha256,
                found=found,
            )
            # Its known answer is about bytes that can no longer be shown.
            golden_items.retire_of_decision(session, recorded.decision_id)


class _ShownClaims:
    """The claims whose holders this process has recently shown the judged bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: OrderedDict[ClaimToken, float] = OrderedDict()

    def keep(self, token: ClaimToken) -> None:
        with self._lock:
            self._until[token] = time.monotonic() + _REMEMBERED_SECONDS
            self._until.move_to_end(token)
            while len(self._until) > _REMEMBERED:
                self._until.popitem(last=False)

    def has(self, token: ClaimToken) -> bool:
        with self._lock:
            return self._until.get(token, 0.0) > time.monotonic()


@dataclass(frozen=True, slots=True)
class CheckPictures:
    """Check whether reviewers saw the bytes that were judged."""

    read: ReadJudgedPicture
    _shown: _ShownClaims = field(default_factory=_ShownClaims)
    _slots: threading.Semaphore = field(default_factory=lambda: threading.BoundedSemaphore(_CHECKS_AT_ONCE))

    def note_shown(self, token: ClaimToken) -> None:
        """Note that the holder of a claim was shown the judged bytes."""
        self._shown.keep(token)

    def __call__(self, held: Iterable[Review], shown: Mapping[int, str]) -> dict[int, PictureState]:
        """Return the state of each review's picture, by review id.

        `shown` holds the SHA-256 of what a platform's desk showed, by review id. A picture that this process
        did not show is read again. UnavailableError if too many checks are running.
        """
        found: dict[int, PictureState] = {}
        unknown: list[Review] = []
        for review in held:
            state = self._known_state(review, shown.get(review.id))
            if state is None:
                unknown.append(review)
            else:
                found[review.id] = state
        if unknown:
            states = self._read_all(unknown)
            found |= zip((one.id for one in unknown), states, strict=True)
        return found

    def _read_all(self, held: Sequence[Review]) -> list[PictureState]:
        if not self._slots.acquire(timeout=_SLOT_SECONDS):
            raise UnavailableError("too many pictures are being compared at once", hint="send it again")
        try:
            with ThreadPoolExecutor(min(len(held), _READS_AT_ONCE), "check-pictures") as executor:
                return list(executor.map(self._read_state, held))
        finally:
            self._slots.release()

    def _known_state(self, review: Review, shown: str | None) -> PictureState | None:
        """Return the state if it is known without reading the source; None if the source must be read."""
        if shown is not None:
            return self._compare(review, shown)
        if review.picture_changed_at is not None:
            return PictureState.CHANGED
        return PictureState.SAME if self._shown.has(review.token) else None

    def _compare(self, review: Review, shown: str) -> PictureState:
        """Compare the digest of what was shown with the recorded one."""
        # The decision has no digest if the picture could not be judged; the submission may have one.
        judged = self.read.recorded(review.decision.submission_id, review.decision.id).sha256
        if judged is None:
            return PictureState.NOT_JUDGED
        return PictureState.SAME if shown == judged else PictureState.CHANGED

    def _read_state(self, review: Review) -> PictureState:
        try:
            return self.read(review.decision.submission_id, review.decision.id).state
        except PictureChangedError:
            return PictureState.CHANGED
        except ModerationError:
            return PictureState.UNAVAILABLE


def source_of(recorded: ReviewSource) -> Source:
    """Return where a picture is; SourceMissingError if that is no longer recorded."""
    source = recorded_source(recorded.whole) or recorded_source(recorded.recorded)
    if source is not None:
        return source
    if recorded.recorded is None:
        raise SourceMissingError("the picture came inside its message, and is not kept any more")
    raise SourceMissingError("the picture's address was signed, and the signature is not kept any more")


def changed() -> PictureChangedError:
    """Return the error for a picture whose judged bytes are gone."""
    return PictureChangedError(
        "the picture changed after it was judged: its source has other bytes now",
        hint="block it, or escalate it to a lead",
    )
