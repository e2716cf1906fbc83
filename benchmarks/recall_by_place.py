"""Measure recall at each place of wide and tall pictures, by the number of squares.

    MODERATION_MODEL=../shared/models/photo-zero-shot python benchmarks/recall_by_place.py \
        --objects guns/ --backgrounds photos/ --policy photographs.yaml --label firearms \
        [--out benchmarks/results/recall_by_place.json]

Each object is pasted onto each background in nine places from end to end, in two sizes. It is found if the
label reaches its `review` in any square. Objects that the model does not recognise on their own are left out,
and so are backgrounds that are flagged without an object. More squares also mean more false positives:
`flagged without` is the share of backgrounds of that shape that are flagged without an object. One square is
the result of the model's own image processor.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from circumstances import circumstances
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import track
from rich.table import Table

from worker.domain.moderation.scoring import Scorer
from worker.domain.policies.policy import Policy
from worker.encoder.phrases import encode_phrases
from worker.encoder.protocol import Encoder
from worker.images.parts import Parts
from worker.images.preprocessing import Pixels, Preprocessing, prepare, prepare_parts
from worker.images.sources.folder import find_files
from worker.policy_files.parser import read_policy
from worker.settings import Settings
from worker.wiring.components import open_encoder

SHAPES: Final = {
    "4:3": (960, 720),
    "16:9": (1280, 720),
    "2:1": (1440, 720),
    "1080 x 2400": (540, 1200),
    "3.6:1": (1800, 500),
    "8:1": (4000, 500),
    "10:1": (5000, 500),
}
SQUARES: Final = (1, 2, 3, 4, 5, 6)
PLACES: Final = 9
#: Sides of the object, in short sides of the picture.
SIZES: Final = (0.4, 0.75)
_SEED: Final = 16


def main(  # noqa: PLR0913, PLR0917 - options
    objects: Annotated[Path, typer.Option(help="Folder of pictures that show the label.")],
    backgrounds: Annotated[Path, typer.Option(help="Folder of pictures to paste them onto.")],
    policy: Annotated[Path, typer.Option(help="Policy file.")],
    label: Annotated[str, typer.Option(help="Label of the policy.")],
    most: Annotated[int, typer.Option(min=1, help="Objects, and backgrounds, at most.")] = 6,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print the recall at each place."""
    wanted, _ = read_policy(policy)
    wanted = replace(wanted, labels=(wanted.label(label),), tests=())
    with open_encoder(Settings()) as encoder:
        finder = Finder(encoder, wanted)
        shown = finder.among(pictures(objects), found=True)[:most]
        clean = finder.among(pictures(backgrounds), found=False)
        figures = {
            name: list(measure(finder, size, shown, clean[: 2 * most], clean[:most], name))
            for name, size in SHAPES.items()
        }
    run = {
        **circumstances(__file__, "pillow", "transformers", "torch"),
        "model": Path(encoder.info.name).name,
        "label": label,
        "objects": len(shown),
        "backgrounds": min(most, len(clean)),
        "sizes of the object": SIZES,
        "figures": figures,
    }
    show(run)
    if out:
        out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


class Finder:
    """Finds one label in any of a picture's squares."""

    def __init__(self, encoder: Encoder, policy: Policy) -> None:
        self.encoder, (self._label,) = encoder, policy.labels
        self._score = Scorer(policy, encode_phrases(encoder, list(policy.phrases()), policy.templates))

    def finds(self, pictures: Sequence[Sequence[Pixels]]) -> list[bool]:
        """Return for each picture, given as its squares, whether the label reaches its `review`."""
        vectors = self.encoder.encode_images([square for squares in pictures for square in squares])
        ends = np.cumsum([len(squares) for squares in pictures])[:-1]
        scores = (self._score(own, self.encoder.info.scale)[0] for own in np.split(vectors, ends))
        return [score.score >= self._label.review for score in scores]

    def among(self, pictures: Sequence[Image.Image], *, found: bool) -> list[Image.Image]:
        """Return the pictures in which the label is found (or not) with the model's own image processor."""
        outcomes = self.finds([whole(one, self.encoder.info.preprocessing) for one in pictures])
        return [one for one, outcome in zip(pictures, outcomes, strict=True) if outcome is found]


def measure(  # noqa: PLR0913, PLR0917
    finder: Finder,
    size: tuple[int, int],
    objects: Sequence[Image.Image],
    empty: Sequence[Image.Image],
    backgrounds: Sequence[Image.Image],
    name: str,
) -> Iterator[dict[str, Any]]:
    """Yield the figures of one shape for each number of squares."""
    preprocessing = finder.encoder.info.preprocessing
    parts = Parts.of(size, preprocessing)
    squeezes = parts.count > 1 and parts.resized != parts.preprocessing.resized(size)
    ways = [(count, False) for count in SQUARES] + [(parts.count, True)] * squeezes
    for count, squeezed in track(ways, description=name, transient=True):

        def cut(picture: Image.Image, count: int = count, squeezed: bool = squeezed) -> list[Pixels]:
            return as_judged(picture, parts) if squeezed else squares(picture, preprocessing, count)

        found = np.zeros((PLACES, len(SIZES)))
        for place in range(PLACES):
            for number, share in enumerate(SIZES):
                made = [pasted(one, on, size, place, share) for one in objects for on in backgrounds]
                found[place, number] = np.mean(finder.finds([cut(one) for one in made]))
        without = finder.finds([cut(ImageOps.fit(one, size)) for one in empty])
        yield {
            "squares": count,
            "squeezed": squeezed,
            "chosen": count == parts.count and squeezed == squeezes,
            "recall": round(float(found.mean()), 3),
            "worst place": round(float(found.mean(axis=1).min()), 3),
            "by place": [round(float(one), 2) for one in found.mean(axis=1)],
            "by size": [round(float(one), 2) for one in found.mean(axis=0)],
            "flagged without": round(float(np.mean(without)), 3),
        }


def pasted(
    shown: Image.Image, background: Image.Image, size: tuple[int, int], place: int, share: float
) -> Image.Image:
    """Return a background of `size` with an object at one of the places along its long side."""
    made, side = ImageOps.fit(background, size), round(share * min(size))
    free = size[0] - side, size[1] - side
    wide = size[0] >= size[1]
    along, across = (free[0], free[1]) if wide else (free[1], free[0])
    offset = place * along // (PLACES - 1), across // 2
    made.paste(ImageOps.fit(shown, (side, side)), offset if wide else offset[::-1])
    return made


def squares(picture: Image.Image, preprocessing: Preprocessing, count: int) -> list[Pixels]:
    """Cut a picture into this number of squares."""
    if count == 1:
        return whole(picture, preprocessing)
    crops = preprocessing
    if preprocessing.width:
        side = preprocessing.width
        crops = replace(
            preprocessing, width=0, height=0, shortest_edge=side, crop_width=side, crop_height=side
        )
    return prepare_parts(picture, crops, crops.resized(picture.size), count)


def as_judged(picture: Image.Image, parts: Parts) -> list[Pixels]:
    """Cut a picture as the service does: squeezed until the squares leave no gap."""
    return prepare_parts(picture, parts.preprocessing, parts.resized, parts.count)


def whole(picture: Image.Image, preprocessing: Preprocessing) -> list[Pixels]:
    """Prepare a picture like the model's own image processor."""
    return [prepare(picture, preprocessing)]


def pictures(folder: Path) -> list[Image.Image]:
    """Return the pictures of a folder in a fixed random order."""
    files = find_files([folder])
    random.Random(_SEED).shuffle(files)
    return [Image.open(file).convert("RGB") for file in files]


def show(run: dict[str, Any]) -> None:
    """Print the figures; a star marks the number of squares that the service uses."""
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("shape", "squares", "recall", "worst place", "flagged without", "from end to end"):
        table.add_column(column)
    for shape, rows in run["figures"].items():
        for row in rows:
            table.add_row(
                shape,
                f"{row['squares']}{' squeezed' if row['squeezed'] else ''}{' *' if row['chosen'] else ''}",
                f"{row['recall']:.0%}",
                f"{row['worst place']:.0%}",
                f"{row['flagged without']:.0%}",
                " ".join(f"{one:.0%}" for one in row["by place"]),
            )
    Console(width=140).print({key: value for key, value in run.items() if key != "figures"}, table)


if __name__ == "__main__":
    typer.run(main)
