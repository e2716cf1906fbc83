"""What tells two submissions with the same id apart: the picture, and the policy asked for."""

import hashlib
import json
from dataclasses import astuple

from moderation_client.submission import InlineBytes, Submission


def fingerprint(submission: Submission) -> str:
    """Return a SHA-256 in hexadecimal, the same for the same picture under the same policy.

    The picture is told by its own digest where that is known, wherever it lies: a URL that is signed anew is
    no other picture then. Else it is told by its source.
    """
    what = json.dumps([submission.policy, _picture(submission)])
    return hashlib.sha256(what.encode()).hexdigest()


def _picture(submission: Submission) -> object:
    source = submission.source
    if submission.sha256:
        return submission.sha256
    if isinstance(source, InlineBytes):
        return hashlib.sha256(source.data).hexdigest()
    return [type(source).__name__, *astuple(source)]
