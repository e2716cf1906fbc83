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

#: Pictures that one check reads at once, and checks that read at once: a web process has forty threads, and
#: they must not take all of them.
_READS_AT_ONCE: Final = 8
_CHECKS_AT_ONCE: Final = 8
_TURN_SECONDS: Final = 1.0
#: Claims whose pictures this process remembers to have shown, and for how long.
_REMEMBERED: Final = 4096
_REMEMBERED_SECONDS: Final = 900.0
#: In the audit log: the service found out, no person did.
_SERVICE: Final = "the service"


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A picture's bytes as they are now: those that were judged, or NOT_JUDGED if none are on record."""

    data: bytes = field(repr=False)
    sha256: str
    state: PictureState


@dataclass(frozen=True, slots=True)
class ReadJudgedPicture:
    """Read the picture that a decision is about."""

    database: Database
    reader: ImageReader

    def __call__(self, submission_id: str, decision_id: int | None = None) -> FoundPicture:
        """Return the bytes; without a `decision_id` the newest decision on the submission counts.

        PictureChangedError if they are not the ones that were judged: this is noted on the open reviews of
        the decision. Otherwise the ModerationError that prevents the reading.
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
        """Return what is on record about the picture; SourceMissingError if nothing is."""
        with self.database.reading() as session:
            found = review_sources.find(session, submission_id, decision_id)
        if found is None:
            raise SourceMissingError("no decision on this picture is on record")
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
            # Its known answer is about bytes that nobody can be shown any more.
            golden_items.retire_of_decision(session, recorded.decision_id)


class _Shown:
    """The claims whose holders were shown the judged bytes lately, by this process."""

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
    """Find out whether the holders of reviews saw the bytes that were judged."""

    read: ReadJudgedPicture
    _shown: _Shown = field(default_factory=_Shown)
    _turns: threading.Semaphore = field(default_factory=lambda: threading.BoundedSemaphore(_CHECKS_AT_ONCE))

    def note_shown(self, token: ClaimToken) -> None:
        """Note that the holder of a claim was shown the judged bytes."""
        self._shown.keep(token)

    def __call__(self, held: Iterable[Review], said: Mapping[int, str]) -> dict[int, PictureState]:
        """Return the state of each review's picture, by the review's id.

        `said` holds the SHA-256 of what a platform's own desk showed, by the review's id. A picture that this
        process did not show is read again. UnavailableError if too many checks are under way.
        """
        found: dict[int, PictureState] = {}
        unknown: list[Review] = []
        for review in held:
            state = self._known(review, said.get(review.id))
            if state is None:
                unknown.append(review)
            else:
                found[review.id] = state
        if unknown:
            states = self._look_at_all(unknown)
            found |= zip((one.id for one in unknown), states, strict=True)
        return found

    def _look_at_all(self, held: Sequence[Review]) -> list[PictureState]:
        if not self._turns.acquire(timeout=_TURN_SECONDS):
            raise UnavailableError("too many pictures are being compared at once", hint="send it again")
        try:
            with ThreadPoolExecutor(min(len(held), _READS_AT_ONCE), "check-pictures") as executor:
                return list(executor.map(self._look, held))
        finally:
            self._turns.release()

    def _known(self, review: Review, said: str | None) -> PictureState | None:
        """Return what is known without reading the source; None if it has to be read."""
        if said is not None:
            return self._compared(review, said)
        if review.picture_changed_at is not None:
            return PictureState.CHANGED
        return PictureState.SAME if self._shown.has(review.token) else None

    def _compared(self, review: Review, said: str) -> PictureState:
        """Compare what was shown with the bytes on record, as if it had been read here."""
        # The decision has no digest if the picture could not be judged; the submission may have one.
        judged = self.read.recorded(review.decision.submission_id, review.decision.id).sha256
        if judged is None:
            return PictureState.NOT_JUDGED
        return PictureState.SAME if said == judged else PictureState.CHANGED

    def _look(self, review: Review) -> PictureState:
        try:
            return self.read(review.decision.submission_id, review.decision.id).state
        except PictureChangedError:
            return PictureState.CHANGED
        except ModerationError:
            return PictureState.UNAVAILABLE


def source_of(recorded: ReviewSource) -> Source:
    """Return where a picture is; SourceMissingError if that is not on record any more."""
    source = recorded_source(recorded.whole) or recorded_source(recorded.recorded)
    if source is not None:
        return source
    if recorded.recorded is None:
        raise SourceMissingError("the picture came inside its message, and is not kept any more")
    raise SourceMissingError("the picture's address was signed, and the signature is not kept any more")


def changed() -> PictureChangedError:
    """Return the error that says that the judged bytes are not there any more."""
    return PictureChangedError(
        "the picture changed after it was judged: its source has other bytes now",
        hint="block it, or escalate it to a lead",
    )
