"""The errors that a producer can catch; those of the service are in `worker.errors`."""

from typing import ClassVar


class ModerationError(Exception):
    """Base of all errors that a user can act on: a message, and a hint at what to do."""

    #: Exit code of the command line: 1 problems found, 2 wrong usage, 3 something needed is unreachable.
    exit_code: ClassVar[int] = 1
    #: Status of the HTTP response; from 500 on, the message is only logged.
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class PermanentError(ModerationError):
    """Retrying cannot help: the input or the configuration has to change."""


class UnavailableError(ModerationError):
    """Something that is needed is unavailable; retrying later can help."""

    exit_code = 3
    http_status = 503


class BrokerUnavailableError(UnavailableError):
    """The message broker does not answer."""


class UsageError(PermanentError):
    """The call or the command is not valid."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting, such as the broker URL or a webhook secret, is not valid."""


class InvalidSubmissionError(PermanentError):
    """A submission can never be judged: a field is malformed, or not allowed here."""

    exit_code = 2
    http_status = 422

    def __init__(self, message: str, *, hint: str = "", field: str = "") -> None:
        super().__init__(message, hint=hint)
        #: The invalid field, such as `source.path`; empty if it is not a single one.
        self.field = field
