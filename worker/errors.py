"""Every exception of the service, as a tree: the class decides about retries, exit code and HTTP status."""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

from moderation_client.errors import (
    BrokerUnavailableError,
    InvalidSubmissionError,
    ModerationError,
    PermanentError,
    SettingsError,
    UnavailableError,
    UsageError,
)

#: The client raises these too; the rest of the service imports all errors from here.
__all__ = [
    "BrokerUnavailableError",
    "InvalidSubmissionError",
    "ModerationError",
    "PermanentError",
    "SettingsError",
    "UnavailableError",
    "UsageError",
]


class RemoteUnavailableError(UnavailableError):
    """Somebody else's server does not answer, or not in time: tried a few times more, then done without."""


class EventNotTakenError(RemoteUnavailableError):
    """A receiver answered an event with a status that is no 2xx."""

    exit_code = 1


class EventPostponedError(EventNotTakenError):
    """A receiver did not take an event, and says when to send it again."""

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ResourceUnavailableError(UnavailableError):
    """Something that this deployment provides is unavailable: submissions wait for it, operators see it."""

    def __init__(self, resource: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        #: What operators call it: a label of metrics, a line of `moderate status`.
        self.resource = resource


class SourceUnavailableError(ResourceUnavailableError):
    """A place that pictures are read from is unavailable; submissions whose pictures lie elsewhere go on."""


class SubmissionConflictError(PermanentError):
    """The id of a submission belongs to another picture, or to the same one under another policy."""

    http_status = 409


class UnknownPolicyError(PermanentError):
    """A submission names a policy that is not in force here."""

    http_status = 422


class InvalidVerdictError(PermanentError):
    """An answer to a review does not have the form it must have, or not the one its policy asks for."""

    exit_code = 2
    http_status = 422


class UnknownReviewError(PermanentError):
    """There is no such review, verdict or decision."""

    exit_code = 2
    http_status = 404


class ReviewConflictError(PermanentError):
    """Somebody was first: the message says who and when; nothing was overwritten."""

    http_status = 409


class PictureChangedError(ReviewConflictError):
    """A picture's source has other bytes now than those that were judged."""


class ReviewNotAllowedError(PermanentError):
    """This person may not answer this review, or not take back this verdict."""

    http_status = 403


class InvalidPolicyError(PermanentError):
    """A policy file has problems; the message lists all of them."""

    def __init__(self, message: str, *, hint: str = "", problems: Sequence[Any] = ()) -> None:
        super().__init__(message, hint=hint)
        #: The same for programs: a `worker.policy_files.yaml_text.problems.Problem` each.
        self.problems = tuple(problems)


class SourceError(PermanentError):
    """The picture's bytes cannot be had: missing, outside the root, or not the ones that were promised."""


class SourceNotAllowedError(SourceError):
    """The source points where this worker must not read."""


class SourceNotReadyError(SourceError):
    """The bytes are not there yet, or not all of them: read again for a stated time before it is final."""


class SourceMissingError(SourceNotReadyError):
    """There is nothing where the source points."""


class AddressNotAllowedError(PermanentError):
    """A URL leads to an address that this service must not talk to."""


class UntrustedServerError(AddressNotAllowedError):
    """A server cannot prove that it is the one that the URL names."""


class CallbackNotAllowedError(PermanentError):
    """The callback target is not allowed here."""

    exit_code = 2
    http_status = 422


class EventRefusedError(PermanentError):
    """The receiver answered 410 Gone."""


class UndecodableKind(StrEnum):
    """Why a file is not judged, as policies name it: what is wrong with it, or what else it is."""

    EMPTY = "empty"
    #: Of a kind that is judged, but its end is missing.
    TRUNCATED = "truncated"
    #: It cannot be decoded, or harms its decoder.
    BROKEN = "broken"
    #: Beyond a limit: bytes, pixels, frames, memory or time.
    TOO_LARGE = "too_large"
    SVG = "svg"
    PDF = "pdf"
    TIFF = "tiff"
    ICO = "ico"
    JPEG_2000 = "jpeg_2000"
    JPEG_XL = "jpeg_xl"
    #: Judged if the extra `heic` is installed.
    HEIC = "heic"
    PHOTOSHOP = "photoshop"
    VIDEO = "video"
    AUDIO = "audio"
    OFFICE = "office"
    ARCHIVE = "archive"
    OTHER = "other"


class UndecodablePictureError(PermanentError):
    """The bytes are not a picture this service will judge: broken, too large, or of a kind it refuses."""

    def __init__(self, message: str, *, kind: UndecodableKind = UndecodableKind.BROKEN) -> None:
        super().__init__(message)
        self.kind = kind


class ModelError(PermanentError):
    """The model cannot be loaded or is not a zero-shot image model."""

    exit_code = 3


class SchemaError(PermanentError):
    """The database's tables are not those this version needs."""

    exit_code = 3
    http_status = 503


class DatabaseUnavailableError(UnavailableError):
    """The database does not answer."""

    #: Whether the connection was lost in the commit itself, so that it can have happened.
    may_be_written: bool = False


class DatabaseLockedError(DatabaseUnavailableError):
    """Another session holds a lock that was waited for in vain."""


class TransactionGivenUpError(DatabaseUnavailableError):
    """The database gave this transaction up, though others may succeed: they were in each other's way."""
