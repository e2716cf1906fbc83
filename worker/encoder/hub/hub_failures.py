"""Turns whatever the hub's client raises into one clear error with the way out."""

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
    """Return the address of the hub, which HF_ENDPOINT sets."""
    return constants.ENDPOINT


@contextmanager
def explaining_failures(name: str) -> Iterator[None]:
    """Raise what goes wrong with the model `name`, `org/name@revision`, as a ModelError of one line."""
    try:
        yield
    except ModelError:
        raise
    except HFValidationError as problem:
        raise UsageError(
            f"{name} cannot be a hub id: {first_line(problem)}", hint="name it org/name@revision"
        ) from problem
    except Exception as problem:
        # The hub's client lets through the errors of every library below it.
        message, hint = _of_the_model(problem, name) or _of_the_way(problem, name)
        raise ModelError(message, hint=hint) from problem


def _of_the_model(problem: Exception, name: str) -> tuple[str, str] | None:
    """Return what the hub says of the model itself, and the way out."""
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


def _of_the_way(problem: Exception, name: str) -> tuple[str, str]:
    """Return what lies between us and the hub's files, and the way out."""
    said = f"the model {name} cannot be downloaded"
    if isinstance(problem, OfflineModeIsEnabled):
        return f"{said}: HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE until it is downloaded"
    if isinstance(problem, HfHubHTTPError):
        return f"{said}: {endpoint()} answers {problem.response.status_code}", _after(problem)
    if isinstance(problem, httpx2.TransportError):
        return f"{said}: {endpoint()} does not answer: {first_line(problem)}", _WITHOUT_A_HUB
    if isinstance(problem, OSError) and problem.errno in _FULL:
        return f"{said}: no room left on the disk", "make room, and run it again"
    return f"{said}: {first_line(problem)}", _WITHOUT_A_HUB


def _after(answer: HfHubHTTPError) -> str:
    if answer.response.status_code in {401, 403}:
        return "is HF_TOKEN right, and may it read this model?"
    if answer.response.status_code == 404:
        return f"is {endpoint()} a model hub?"
    return f"try again later; {_WITHOUT_A_HUB}"
