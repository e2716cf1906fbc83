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
    """A third-party server does not answer in time: retried a few times, then done without."""


class EventNotTakenError(RemoteUnavailableError):
    """A receiver answered an event with a status other than 2xx."""

    exit_code = 1


class EventPostponedError(EventNotTakenError):
    """A receiver rejected an event for now, with a Retry-After."""

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ResourceUnavailableError(UnavailableError):
    """A resource of this deployment is unavailable: submissions wait for it, operators see it."""

    def __init__(self, resource: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        #: What operators call it: a label of metrics, a line of `moderate status`.
        self.resource = resource


class SourceUnavailableError(ResourceUnavailableError):
    """A source of pictures is unavailable; submissions with other sources go on."""


class SubmissionConflictError(PermanentError):
    """The id of a submission belongs to another picture, or to the same one under another policy."""

    http_status = 409


class UnknownPolicyError(PermanentError):
    """A submission names a policy that is not in force here."""

    http_status = 422


class InvalidVerdictError(PermanentError):
    """An answer to a review is malformed, or lacks what its policy requires."""

    exit_code = 2
    http_status = 422


class UnknownReviewError(PermanentError):
    """There is no such review, verdict or decision."""

    exit_code = 2
    http_status = 404


class ReviewConflictError(PermanentError):
    """Another person was first: the message says who and when; nothing was overwritten."""

    http_status = 409


class PictureChangedError(ReviewConflictError):
    """The source of a picture no longer has the bytes that were judged."""


class NoHeatMapError(PermanentError):
    """A decision cannot be explained by a heat map: it was not judged, or by another model."""

    http_status = 410


class ReviewNotAllowedError(PermanentError):
    """This person may not answer this review, or may not reverse this verdict."""

    http_status = 403


class InvalidPolicyError(PermanentError):
    """A policy file has problems; the message lists all of them."""

    def __init__(self, message: str, *, hint: str = "", problems: Sequence[Any] = ()) -> None:
        super().__init__(message, hint=hint)
        #: The problems for programs, each a `worker.policy_files.yaml_text.problems.Problem`.
        self.problems = tuple(problems)


class InvalidLearnedError(PermanentError):
    """What a policy learned cannot be read from the database."""


class SourceError(PermanentError):
    """The picture cannot be read: missing, outside the root, or not the promised bytes."""


class SourceNotAllowedError(SourceError):
    """The source is a place that this worker must not read."""


class SourceNotReadyError(SourceError):
    """The picture is not there yet, or incomplete: retried for a limited time before it is final."""


class SourceMissingError(SourceNotReadyError):
    """Nothing exists at the source."""


class AddressNotAllowedError(PermanentError):
    """A URL resolves to an address that this service must not connect to."""


class UntrustedServerError(AddressNotAllowedError):
    """A server has no valid certificate for the host in the URL."""


class CallbackNotAllowedError(PermanentError):
    """The callback target is not allowed here."""

    exit_code = 2
    http_status = 422


class EventRefusedError(PermanentError):
    """The receiver answered 410 Gone."""


class UndecodableKind(StrEnum):
    """Why a file is not judged, by the names in policies: its defect, or its file type."""

    EMPTY = "empty"
    #: A supported file whose end is missing.
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
    """The file is not judged: broken, too large, or of an unsupported kind."""

    def __init__(self, message: str, *, kind: UndecodableKind = UndecodableKind.BROKEN) -> None:
        super().__init__(message)
        self.kind = kind


class ModelError(PermanentError):
    """The model cannot be loaded or is not a zero-shot image model."""

    exit_code = 3


class SchemaError(PermanentError):
    """The database does not have the schema of this version."""

    exit_code = 3
    http_status = 503


class DatabaseUnavailableError(UnavailableError):
    """The database does not answer."""

    #: Whether the connection was lost during the commit, so that the transaction may be committed.
    may_be_written: bool = False


class DatabaseLockedError(DatabaseUnavailableError):
    """Waiting for a lock of another session timed out."""


class TransactionGivenUpError(DatabaseUnavailableError):
    """The database aborted this transaction because of a conflict with another; a retry can succeed."""
