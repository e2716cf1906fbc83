"""Ranks labels on pictures by one softmax over the labels, as transformers' zero-shot pipeline does."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from worker.domain.moderation.scoring import rank_labels, score_pairs
from worker.encoder.protocol import Encoder
from worker.errors import PermanentError, UsageError
from worker.images.processes.pool import DecoderPool
from worker.images.sources.reader import read_named_file

#: The default of transformers, so that the figures are the same.
DEFAULT_TEMPLATE = "This is a photo of {}."


@dataclass(frozen=True, slots=True)
class Ranking:
    """The labels of one picture, best first, with their probabilities; or the problem that prevented them."""

    file: Path
    scores: tuple[tuple[str, float], ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ClassifyPictures:
    """Rank labels on pictures without a policy."""

    encoder: Encoder
    decoder: DecoderPool
    concurrency: int

    def __call__(
        self, files: Sequence[Path], labels: Sequence[str], template: str = DEFAULT_TEMPLATE
    ) -> Iterator[Ranking]:
        """Yield the ranking of every file, in the order given; an animation is ranked by its first frame."""
        if not labels:
            raise UsageError("there are no labels to choose from", hint='name some: --labels "fox,bear,owl"')
        if "{}" not in template:
            raise UsageError(f"the template {template!r} has no {{}} for the label")
        vectors = self.encoder.encode_texts([template.replace("{}", label) for label in labels])
        rank = score_pairs if self.encoder.pairwise else rank_labels

        def classify(file: Path) -> Ranking:
            try:
                data = read_named_file(file, self.decoder.limits)
                # Unscaled and cropped at its centre, which gives the figures of transformers' pipeline to the
                # last digit shown.
                picture = self.decoder.decode(data, self.encoder.preprocessing, scaled=False, most_parts=1)
            except PermanentError as problem:
                return Ranking(file, problem=problem.message)
            embedding = self.encoder.encode_images([picture.pixels[0]])[0]
            probabilities = rank(embedding, vectors, self.encoder.scale, self.encoder.bias)
            ranked = sorted(zip(labels, map(float, probabilities), strict=True), key=lambda pair: -pair[1])
            return Ranking(file, tuple(ranked))

        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="classify") as pool:
            yield from pool.map(classify, files)
