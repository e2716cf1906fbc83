"""Identifies what a submission asks for, to detect an id that is reused for another picture or policy."""

import hashlib
import json
from dataclasses import astuple

from moderation_client.submission import InlineBytes, Submission


def fingerprint(submission: Submission) -> str:
    """Return a SHA-256 in hexadecimal, equal for the same picture and text under the same policy.

    A picture is identified by its digest if that is known, so that a URL that is signed anew is the same
    picture, and by its source otherwise.
    """
    # Fingerprints without a text stay what they were before there were texts.
    text = [submission.text] if submission.text else []
    what = json.dumps([submission.policy, _picture(submission), *text])
    return hashlib.sha256(what.encode()).hexdigest()


def _picture(submission: Submission) -> object:
    source = submission.source
    if submission.sha256:
        return submission.sha256
    if isinstance(source, InlineBytes):
        return hashlib.sha256(source.data).hexdigest()
    return [type(source).__name__, *astuple(source)]
