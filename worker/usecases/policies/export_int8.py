"""Makes an int8 copy of the model with an operator's pictures, and measures how its results drift."""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from worker.domain.evaluation.drift import DecisionFlip, Drift, PolicyDrift, is_flip
from worker.encoder.fetching.fresh_folder import appearing
from worker.encoder.protocol import Encoder
from worker.encoder.towers.int8_export import write_int8_model
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.errors import SourceError, UndecodablePictureError, UsageError
from worker.images.processes.pool import DecoderPool, PreparedPicture
from worker.images.sources.reader import read_named_file
from worker.policy_files.library import LivePolicy, Prepared
from worker.usecases.moderation.judge_picture import EmbeddedPicture, JudgePicture
from worker.usecases.policies.run_policy_tests import RunPolicyTests

#: Pictures to calibrate with at most; more do not improve the numeric ranges.
CALIBRATED: Final = 128
#: Pictures that both models judge at most; enough to show a flip of one in a hundred.
COMPARED: Final = 400
#: With fewer pictures neither half means anything.
LEAST: Final = 10
#: The same folder gives the same sample.
_SEED: Final = 8

#: Starts a named stage; the context yields a callback for the number of steps done, and the total.
Stage = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """The copy, the pictures that went into it, and its drift."""

    folder: Path
    digest: str
    calibrated: int
    #: Files of the sample that cannot be judged.
    unusable: int
    drift: Drift


@dataclass(frozen=True, slots=True)
class _Sample:
    """The operator's pictures: one half to calibrate the copy, the other to compare it."""

    calibration: Sequence[PreparedPicture]
    held_out: Sequence[tuple[Path, PreparedPicture]]
    unusable: int


@dataclass(frozen=True, slots=True)
class _Compared:
    """A picture, embedded by the model and by its copy."""

    file: Path
    precise: EmbeddedPicture
    int8: EmbeddedPicture


@dataclass(frozen=True, slots=True)
class ExportInt8:
    """Write an int8 copy of a model into a folder; an unfinished copy is removed."""

    #: The original model in float32.
    encoder: TransformersEncoder
    #: Loads the copy from a folder as a worker does.
    load: Callable[[Path], Encoder]
    decoder: DecoderPool
    #: The policies in force.
    policies: Sequence[LivePolicy]
    policy_folder: Path
    batch_size: int

    def __call__(self, files: Sequence[Path], out: Path, stage: Stage) -> ExportedModel:
        """Make the copy `out`, calibrated with the pictures among `files`.

        UsageError if `out` exists or there are too few pictures; ModelError if the tower cannot be
        converted.
        """
        with stage("decoding") as progress:
            sample = self._sample(files, progress)
        with appearing(out) as folder:
            with stage("calibrating") as progress:
                # The first frame of an animation, so that every picture has the same weight.
                pictures = [picture.pixels[0] for picture in sample.calibration]
                write_int8_model(self.encoder, pictures, folder, progress)
            # Measure what a worker will load, from the same files.
            copy = self.load(folder)
            with stage("comparing") as progress:
                drift = self._drift(copy, list(self._compare(copy, sample.held_out, progress)))
        return ExportedModel(out, copy.info.digest, len(sample.calibration), sample.unusable, drift)

    def _sample(self, files: Sequence[Path], progress: Callable[[int, int], None]) -> _Sample:
        drawn = random.Random(_SEED).sample(files, min(len(files), CALIBRATED + COMPARED))
        decoded: list[tuple[Path, PreparedPicture]] = []
        with ThreadPoolExecutor(2 * self.decoder.processes, thread_name_prefix="decode") as pool:
            for done, (file, picture) in enumerate(zip(drawn, pool.map(self._decode, drawn), strict=True), 1):
                if picture:
                    decoded.append((file, picture))
                progress(done, len(drawn))
        if len(decoded) < LEAST:
            raise UsageError(
                f"of {len(drawn)} files {len(decoded)} are pictures, and {LEAST} are needed",
                hint="name a folder of pictures like those that are uploaded, a few hundred of them",
            )
        calibrated = min(CALIBRATED, len(decoded) // 2)
        calibration = [picture for _, picture in decoded[:calibrated]]
        return _Sample(calibration, decoded[calibrated:], len(drawn) - len(decoded))

    def _decode(self, file: Path) -> PreparedPicture | None:
        try:
            data = read_named_file(file, self.decoder.limits)
            return self.decoder.decode(data, self.encoder.info.preprocessing)
        except (SourceError, UndecodablePictureError):
            return None

    def _compare(
        self,
        copy: Encoder,
        pictures: Sequence[tuple[Path, PreparedPicture]],
        progress: Callable[[int, int], None],
    ) -> Iterator[_Compared]:
        """Embed the pictures with both models, a batch at a time."""
        for start in range(0, len(pictures), self.batch_size):
            batch = pictures[start : start + self.batch_size]
            shown = [picture for _, picture in batch]
            precise, int8 = self._embed(self.encoder, shown), self._embed(copy, shown)
            yield from map(_Compared, [file for file, _ in batch], precise, int8)
            progress(start + len(batch), len(pictures))

    def _embed(self, encoder: Encoder, pictures: Sequence[PreparedPicture]) -> list[EmbeddedPicture]:
        """Embed pictures, rounded as in `JudgePicture.embed`."""
        views = [view for picture in pictures for view in picture.pixels]
        passes = [views[start : start + self.batch_size] for start in range(0, len(views), self.batch_size)]
        vectors = np.concatenate([encoder.encode_images(one) for one in passes])
        rounded = vectors.astype(np.float16).astype(np.float32)
        ends = np.cumsum([len(picture.pixels) for picture in pictures])
        facts = [picture.facts for picture in pictures]
        return [EmbeddedPicture(*one) for one in zip(facts, np.split(rounded, ends[:-1]), strict=True)]

    def _drift(self, copy: Encoder, seen: Sequence[_Compared]) -> Drift:
        cosines = [float((one.precise.embedding * one.int8.embedding).sum(axis=1).min()) for one in seen]
        furthest = seen[int(np.argmin(cosines))].file
        tests = RunPolicyTests(JudgePicture(copy, self.decoder))
        policies = tuple(self._policy_drift(live, seen, tests) for live in self.policies)
        return Drift(cosines, str(furthest), policies)

    def _policy_drift(
        self, live: LivePolicy, seen: Sequence[_Compared], tests: RunPolicyTests
    ) -> PolicyDrift:
        judge = JudgePicture(self.encoder, self.decoder).judge
        judged = [
            DecisionFlip(str(s.file), judge(live, s.precise).decision, judge(live, s.int8).decision)
            for s in seen
        ]
        outcomes = tests(Prepared(live.policy, live.vectors), self.policy_folder)
        return PolicyDrift(
            live.policy.name,
            live.policy.digest,
            tuple(one for one in judged if is_flip(one.before, one.after)),
            tuple(outcome.test.picture for outcome in outcomes if not outcome.passed),
        )
