"""Translates every error of the hub's client into a ModelError with a hint."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from worker.encoder.hub.model_layout import first_line
from worker.errors import ModelError, UsageError

_WITHOUT_A_HUB: Final = (
    "without a hub: run `moderate model fetch` elsewhere, copy the folder that it makes and set "
    "MODERATION_MODEL to it, or use the bundled model, MODERATION_MODEL=demo"
)
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def endpoint() -> str:
    """Return the URL of the hub, which HF_ENDPOINT sets."""
    return constants.ENDPOINT


@contextmanager
def explaining_failures(name: str) -> Iterator[None]:
    """Raise any failure with the model `name`, `org/name@revision`, as a one-line ModelError."""
    try:
        yield
    except ModelError:
        raise
    except HFValidationError as problem:
        raise UsageError(
            f"{name} cannot be a hub id: {first_line(problem)}", hint="name it org/name@revision"
        ) from problem
    except Exception as problem:
        # The hub's client raises errors of every library that it uses.
        message, hint = _model_failure(problem, name) or _download_failure(problem, name)
        raise ModelError(message, hint=hint) from problem


def _model_failure(problem: Exception, name: str) -> tuple[str, str] | None:
    """Return message and hint if the hub refuses the model itself, else None."""
    match problem:
        case GatedRepoError():
            page = f"{endpoint()}/{name.partition('@')[0]}"
            return (
                f"the hub gives {name} to registered users only",
                f"accept its terms at {page}, then set HF_TOKEN",
            )
        case RevisionNotFoundError():
            return f"the hub has no model {name}: there is no such revision", "check the revision"
        case RepositoryNotFoundError():
            return f"the hub has no model {name}", "check its name; if it is private, set HF_TOKEN"
    return None


def _download_failure(problem: Exception, name: str) -> tuple[str, str]:
    """Return message and hint for a failed download."""
    failure = f"the model {name} cannot be downloaded"
    if isinstance(problem, OfflineModeIsEnabled):
        return f"{failure}: HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE until it is downloaded"
    if isinstance(problem, HfHubHTTPError):
        return f"{failure}: {endpoint()} answers {problem.response.status_code}", _status_hint(problem)
    if isinstance(problem, httpx2.TransportError):
        return f"{failure}: {endpoint()} does not answer: {first_line(problem)}", _WITHOUT_A_HUB
    if isinstance(problem, OSError) and problem.errno in _FULL:
        return f"{failure}: no room left on the disk", "make room, and run it again"
    return f"{failure}: {first_line(problem)}", _WITHOUT_A_HUB


def _status_hint(problem: HfHubHTTPError) -> str:
    if problem.response.status_code in {401, 403}:
        return "is HF_TOKEN right, and may it read this model?"
    if problem.response.status_code == 404:
        return f"is {endpoint()} a model hub?"
    return f"try again later; {_WITHOUT_A_HUB}"
