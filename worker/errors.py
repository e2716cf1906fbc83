"""Every exception of the service, as a tree: the class decides about retries, exit code and HTTP status."""

from typing import ClassVar


class ModerationError(Exception):
    """Anything that goes wrong and that a person can act on: a message, and a hint at the way out."""

    #: Exit code of the command line: 1 problems found, 2 wrong usage, 3 something needed is unreachable.
    exit_code: ClassVar[int] = 1
    #: Status of the HTTP API's answer; from 500 on the message is for the log alone.
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class PermanentError(ModerationError):
    """Trying again cannot help: the input or the configuration has to change."""


class UnavailableError(ModerationError):
    """Something the service needs is away; trying again later can help."""

    exit_code = 3
    http_status = 503


class RemoteUnavailableError(UnavailableError):
    """Somebody else's server does not answer, or not in time: tried a few times more, then done without."""


class UsageError(PermanentError):
    """The command was called in a way it cannot serve."""

    exit_code = 2


class SettingsError(UsageError):
    """An environment variable has a value the service cannot use."""


class InvalidSubmissionError(PermanentError):
    """A submission, or the message that carries it, does not have the form it must have."""

    exit_code = 2
    http_status = 422


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


class SourceError(PermanentError):
    """The picture's bytes cannot be had: missing, outside the root, or not the ones that were promised."""


class SourceNotAllowedError(SourceError):
    """The source points where this worker must not read."""


class SourceMissingError(SourceError):
    """There is nothing where the source points."""


class AddressNotAllowedError(PermanentError):
    """A URL leads to an address that this service must not talk to."""


class UntrustedServerError(AddressNotAllowedError):
    """A server cannot prove that it is the one that the URL names."""


class CallbackNotAllowedError(PermanentError):
    """A submission wants somebody to be told whom this deployment does not tell."""

    exit_code = 2
    http_status = 422


class EventRefusedError(PermanentError):
    """Who was to be told of a decision wants to hear of nothing more."""


class UndecodablePictureError(PermanentError):
    """The bytes are not a picture this service will judge: broken, too large, or of a kind it refuses."""


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


class TransactionGivenUpError(DatabaseUnavailableError):
    """Two transactions were in each other's way, and the database gave this one up."""


class BrokerUnavailableError(UnavailableError):
    """The message broker does not answer."""
