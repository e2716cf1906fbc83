"""Measure what share of an animation the sampled frames cover, and what sampling costs.

    python benchmarks/animations.py --photos FOLDER [--out benchmarks/results/animations.json]

Clips are generated from photographs: ordinary ones (pans, zooms, a talking face, a hand-held camera, cuts)
and slide shows in which every frame is another picture. If less than half of an ordinary clip is covered, it
goes to review for nothing. If more than half of a slide show is covered, a few of its pictures decide for
all.
"""

import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer
from circumstances import circumstances
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from worker.domain.moderation.seen import ENOUGH
from worker.images.decoding.decoder import decode
from worker.images.limits import Limits

LIMITS = Limits(max_bytes=2**30, max_pixels=50_000_000, max_side=16_384, max_frames=8)
SIZE = (240, 180)
FRAMES = 60
SLIDES = 100

Clip = Sequence[Image.Image]


def main(
    photos: Annotated[Path, typer.Option(help="A folder of photographs.")],
    clips: Annotated[int, typer.Option(min=1, help="Clips of each kind.")] = 12,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print the mean share covered, and the share of clips that would go to review."""
    pictures = [Image.open(file).convert("RGB") for file in sorted(photos.glob("*.JPEG"))]
    seen: dict[str, list[float]] = defaultdict(list)
    for number in range(clips):
        for kind, clip in drawn(pictures, Random(number)):
            data = encoded(clip, "WEBP")
            seen[kind].append(decode(data, LIMITS, seed=bytes([number])).time_share)
    run = {
        **circumstances(__file__, "pillow"),
        "clips of each kind": clips,
        "frames looked at": LIMITS.max_frames,
        "seen": {kind: figures(shares) for kind, shares in seen.items()},
        "seconds of one processor": costs(pictures[0]),
    }
    show(run)
    if out:
        out.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")


def figures(shares: list[float]) -> dict[str, float]:
    """Return the mean share of the time covered, and the share of clips that would be reviewed."""
    reviewed = sum(share < ENOUGH for share in shares) / len(shares)
    return {"mean share seen": round(sum(shares) / len(shares), 3), "reviewed": round(reviewed, 3)}


def drawn(pictures: Clip, random: Random) -> Iterator[tuple[str, Clip]]:
    """Yield a clip of each kind."""
    one, two, three, four = random.sample(pictures, 4)
    yield "slow pan, a third of the width", [_window(one, t / 3, 0, 2 / 3) for t in _times()]
    yield "fast pan, from side to side", [_window(one, t * 0.6, 0.3, 0.4) for t in _times()]
    yield (
        "zoom to double",
        [_window(two, (1 - 1 / (1 + t)) / 2, (1 - 1 / (1 + t)) / 2, 1 / (1 + t)) for t in _times()],
    )
    yield "a person talking", list(_talking(three))
    yield "a head that nods and turns", list(_nodding(four))
    yield "a hand-held camera", list(_hand_held(one, FRAMES, random))
    yield "three scenes", [frame for scene in (one, two, three) for frame in _hand_held(scene, 20, random)]
    yield "a fade", [Image.blend(one.resize(SIZE), two.resize(SIZE), t) for t in _times()]
    yield "slide show of photographs", list(_slides(pictures, random))
    yield "slide show of line drawings", [_drawing(random) for _ in range(SLIDES)]


def _times() -> list[float]:
    return [step / (FRAMES - 1) for step in range(FRAMES)]


def _window(photo: Image.Image, left: float, top: float, share: float) -> Image.Image:
    """Crop a photograph; left, top and size are shares of its sides."""
    width, height = photo.size
    box = (left * width, top * height, (left + share) * width, (top + share) * height)
    return photo.resize(SIZE, Image.Resampling.BILINEAR, box=box)


def _talking(photo: Image.Image) -> Iterator[Image.Image]:
    for step in range(FRAMES):
        frame = _window(photo, 0.05 + 0.01 * math.sin(step / 5), 0.05 + 0.01 * math.cos(step / 7), 0.9)
        opened = 1 + 7 * abs(math.sin(step / 2.5))
        ImageDraw.Draw(frame).ellipse((105, 100 - opened, 135, 100 + opened), fill=(60, 20, 25))
        yield frame


def _nodding(photo: Image.Image) -> Iterator[Image.Image]:
    for step in range(FRAMES):
        moved = (
            round(photo.width * 0.04 * math.sin(step / 6)),
            round(photo.height * 0.05 * math.sin(step / 3)),
        )
        turned = photo.rotate(6 * math.sin(step / 4), Image.Resampling.BILINEAR, translate=moved)
        yield _window(turned, 0.15, 0.15, 0.7)


def _hand_held(photo: Image.Image, count: int, random: Random) -> Iterator[Image.Image]:
    left = top = 0.0
    for _ in range(count):
        left = max(-0.1, min(0.1, 0.9 * left + random.gauss(0, 0.02)))
        top = max(-0.1, min(0.1, 0.9 * top + random.gauss(0, 0.02)))
        yield _window(photo, 0.12 + left, 0.12 + top, 0.76)


def _slides(pictures: Clip, random: Random) -> Iterator[Image.Image]:
    for number in range(SLIDES):
        share = random.uniform(0.35, 0.6)
        yield _window(
            pictures[number % len(pictures)],
            random.uniform(0, 1 - share),
            random.uniform(0, 1 - share),
            share,
        )


def _drawing(random: Random) -> Image.Image:
    frame = Image.new("RGB", SIZE, "white")
    points = [(random.uniform(50, 190), random.uniform(30, 150)) for _ in range(9)]
    ImageDraw.Draw(frame).line(points, fill=(40, 40, 40), width=2)
    return frame


def encoded(clip: Clip, kind: str, **options: Any) -> bytes:
    """Encode a clip as an endless animation of 25 frames a second."""
    file = BytesIO()
    first, *others = clip
    first.save(file, kind, save_all=True, append_images=others, duration=40, loop=0, **options)
    return file.getvalue()


def costs(photo: Image.Image) -> dict[str, float]:
    """Return the processor seconds from bytes to frames for large animations."""
    large = photo.resize((2100, 1200))
    video = [large.crop((3 * n, 2 * n, 3 * n + 1920, 2 * n + 1080)) for n in range(60)]
    small = [photo.rotate(n).resize((480, 270)) for n in range(60)]
    files = {
        "GIF, 60 frames of 480 x 270": encoded(small, "GIF"),
        "WEBP, 60 frames of 1920 x 1080": encoded(video, "WEBP", method=0, quality=60),
        "AVIF, 60 frames of 1920 x 1080": encoded(video, "AVIF", speed=10),
        "GIF, 10,000 frames of 1 x 1": _many_frames(10_000),
    }
    return {name: _seconds(data) for name, data in files.items()}


def _seconds(data: bytes) -> float:
    started = time.process_time()
    decode(data, LIMITS)
    return round(time.process_time() - started, 2)


def _many_frames(count: int) -> bytes:
    """Return a GIF of single pixels, each of another colour."""
    file = BytesIO()
    Image.new("P", (1, 1)).save(file, "GIF")
    data = file.getvalue()
    place = data.index(b",\0\0\0\0")
    head, frame = data[:place], data[place:-1]
    colours = (bytes([n % 256, n * 7 % 256, n // 256, 255, 255, 255]) for n in range(count))
    return head + b"".join(frame[:9] + b"\x80" + two + frame[10:] for two in colours) + b";"


def show(run: dict[str, Any]) -> None:
    """Print the figures as tables."""
    table = Table("animation", "mean share seen", "reviewed")
    for kind, one in run["seen"].items():
        table.add_row(kind, f"{one['mean share seen']:.2f}", f"{one['reviewed']:.0%}")
    cost = Table("file", "seconds of one processor")
    for name, seconds in run["seconds of one processor"].items():
        cost.add_row(name, f"{seconds:.2f}")
    console = Console()
    console.print(table)
    console.print(cost)


if __name__ == "__main__":
    typer.run(main)
