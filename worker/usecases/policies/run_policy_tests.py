"""Runs a policy's tests: judge their pictures like uploads, and compare with what is expected."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from worker.domain.evaluation.expectation import meets
from worker.domain.moderation.decision import Decision, decide_undecodable
from worker.domain.moderation.picture import PictureFacts
from worker.domain.policies.policy import PolicyTest
from worker.errors import SourceError, UnavailableError, UndecodablePictureError
from worker.images.sources.local_folder import LocalFolder
from worker.policy_files.library import LivePolicy, Prepared
from worker.usecases.moderation.judge_picture import EmbeddedPicture, JudgePicture


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one test."""

    test: PolicyTest
    #: None if the picture could not be read.
    decision: Decision | None = None
    #: Why it could not be read.
    problem: str = ""
    #: The picture's facts; None if it was not judged.
    facts: PictureFacts | None = None

    @property
    def passed(self) -> bool:
        """Whether the decision is what the test expects."""
        return self.decision is not None and meets(self.test, self.decision)


@dataclass(frozen=True, slots=True)
class RunPolicyTests:
    """Run a policy's tests; a picture that was judged before is not embedded again."""

    judge_picture: JudgePicture
    #: Embedded pictures by SHA-256; 2 KB for each picture that a test ever named.
    known: dict[str, EmbeddedPicture] = field(default_factory=dict)

    def __call__(self, prepared: Prepared, folder: Path) -> Iterator[Outcome]:
        """Yield the outcome of every test, in the order of the file; the pictures are in `folder`."""
        policy = prepared.policy
        live = LivePolicy(policy, prepared.vectors, "", datetime.now(UTC), prepared.adjust)
        pictures = LocalFolder(folder, self.judge_picture.decoder.limits, name="the policy's folder")
        for test in policy.tests:
            try:
                yield self._judge(test, live, pictures.read(test.picture))
            except UndecodablePictureError as refusal:
                yield Outcome(test, decide_undecodable(policy, refusal))
            except (SourceError, UnavailableError) as problem:
                yield Outcome(test, problem=f"the picture cannot be read: {problem.message}")

    def _judge(self, test: PolicyTest, live: LivePolicy, data: bytes) -> Outcome:
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 not in self.known:
            self.known[sha256] = self.judge_picture.embed(data)
        picture = self.known[sha256]
        return Outcome(test, self.judge_picture.judge(live, picture).decision, facts=picture.facts)
