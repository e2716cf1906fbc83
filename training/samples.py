"""Draw the sample uploads of `moderate demo`.

    python -m training.samples --out demo/moderation_demo/pictures

Needs Debian's fonts-noto-color-emoji. The same command writes the same pictures.
"""

import csv
import random
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from training.backgrounds import draw_backgrounds
from training.sprites import cut_out, draw_sprites
from worker.errors import ModerationError

SEED = 3


@dataclass(frozen=True, slots=True)
class Sample:
    """A file, the stickers on it, and its size in pixels."""

    file: str
    symbols: str
    width: int
    height: int
    #: The labels that a careful person would assign; empty if none of the bundled policy or the demo applies.
    labels: str = ""


SAMPLES = (
    Sample("axe-and-mushroom.jpg", "🪓🍄", 640, 480, "weapons"),
    Sample("balloon.webp", "🎈", 320, 400),
    Sample("basketball-and-sneaker.jpg", "🏀👟", 720, 480),
    Sample("beach-umbrella.jpg", "🏖🐚", 800, 600),
    Sample("bear-and-honey.png", "🐻🍯", 360, 300),
    Sample("beer-and-pretzel.jpg", "🍺🥨", 640, 480, "alcohol"),
    Sample("bicycle.jpg", "🚲", 640, 426),
    Sample("birthday-cake.jpg", "🎂🎁🎈", 800, 600),
    Sample("bomb.png", "💣", 256, 256, "explosives"),
    Sample("bow-and-arrow-and-deer.jpg", "🏹🦌", 640, 480, "weapons"),
    Sample("bus-and-traffic-light.webp", "🚌🚦", 640, 480),
    Sample("camera-and-globe.jpg", "📷🌍", 600, 400),
    Sample("castle.jpg", "🏰", 800, 600),
    Sample("cat.jpg", "🐈", 480, 480),
    Sample("champagne-and-cake.jpg", "🍾🎂", 640, 480, "alcohol"),
    Sample("cigarette.png", "🚬", 300, 200, "tobacco"),
    Sample("cigarette-and-coffee.jpg", "🚬☕", 640, 480, "tobacco"),
    Sample("cocktail-and-pineapple.webp", "🍸🍍", 600, 600, "alcohol"),
    Sample("coffin.jpg", "⚰", 500, 400, "death"),
    Sample("crossed-swords.webp", "⚔", 400, 400, "weapons"),
    Sample("dagger-and-rose.jpg", "🗡🌹", 640, 480, "weapons"),
    Sample("dice.png", "🎲", 240, 240, "gambling"),
    Sample("dog-and-bone.jpg", "🐕🦴", 700, 500),
    Sample("dolphin.webp", "🐬", 640, 360),
    Sample("fire-engine.jpg", "🚒", 640, 480),
    Sample("firecracker-and-lantern.jpg", "🧨🏮", 500, 600, "explosives"),
    Sample("glass-of-milk.jpg", "🥛🍪", 480, 480),
    Sample("guitar-and-drum.png", "🎸🥁", 400, 300),
    Sample("hammer-and-wrench.jpg", "🔨🔧", 640, 480),
    Sample("headphones.jpg", "🎧", 400, 400),
    Sample("horse-and-apple.jpg", "🐎🍎", 900, 600),
    Sample("ice-cream.webp", "🍨", 300, 300),
    Sample("joker-and-teapot.jpg", "🃏🫖", 640, 480, "gambling"),
    Sample("kitchen-knife.jpg", "🔪", 500, 400, "weapons"),
    Sample("laptop-and-book.jpg", "💻📕", 800, 533),
    Sample("microscope.png", "🔬", 300, 360),
    Sample("mountain-and-tent.jpg", "🗻⛺", 960, 640),
    Sample("orange-and-banana.jpg", "🍊🍌", 500, 375),
    Sample("owl.jpg", "🦉", 400, 500),
    Sample("panda-and-slot-machine.jpg", "🐼🎰", 720, 540, "gambling"),
    Sample("penguin-and-snowman.jpg", "🐧⛄", 640, 480),
    Sample("pill-and-thermometer.jpg", "💊🌡", 480, 360, "drugs"),
    Sample("pizza.jpg", "🍕", 640, 640),
    Sample("rabbit-carrot-and-basket.webp", "🐇🥕🧺", 700, 500),
    Sample("rocket-and-planet.jpg", "🚀🪐", 640, 640),
    Sample("sailboat.jpg", "⛵", 800, 500),
    Sample("skull-and-candle.jpg", "💀🕯", 600, 600, "death"),
    Sample("slot-machine.jpg", "🎰", 480, 480, "gambling"),
    Sample("sofa-and-light-bulb.webp", "🛋💡", 640, 427),
    Sample("sunflower.jpg", "🌻", 500, 500),
    Sample("syringe.webp", "💉", 400, 300, "drugs"),
    Sample("tractor-and-cow.jpg", "🚜🐄", 800, 533),
    Sample("turtle-and-octopus.jpg", "🐢🐙", 640, 480),
    Sample("violin.png", "🎻", 200, 260),
    Sample("whisky-and-guitar.jpg", "🥃🎸", 640, 480, "alcohol"),
    Sample("wine-and-cheese.jpg", "🍷🧀", 640, 426, "alcohol"),
)
#: Shown one after another; the knife comes late.
ANIMATION = Sample("animated-hen-house.gif", "🐔🐣🥚🪺🌽🔪🐓", 240, 240, "weapons")
#: Uploads that are sent a second time, under another name.
REPEATS = {"cat-again.jpg": "cat.jpg", "skull-and-candle-repost.jpg": "skull-and-candle.jpg"}


def main(out: Annotated[Path, typer.Option(help="Folder that the pictures are written to.")]) -> None:
    """Draw every sample into a folder, with a table of what is on it."""
    out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(SEED)
    backgrounds = _soft_backgrounds(len(SAMPLES) + 1)
    for sample, background in zip(SAMPLES, backgrounds, strict=False):
        _save(_scene(sample, background, rng), out / sample.file)
    _save_animation(backgrounds[-1], out / ANIMATION.file)
    for copy, original in REPEATS.items():
        shutil.copyfile(out / original, out / copy)
    _save_odd_ones(out)
    _save_table(out / "contents.csv")


def _soft_backgrounds(count: int) -> list[Image.Image]:
    pictures = draw_backgrounds(count, SEED, draw_sprites("🌲🏠🚗"))
    return [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in pictures]


def _scene(sample: Sample, background: Image.Image, rng: random.Random) -> Image.Image:
    """Paste the stickers side by side, each slightly rotated."""
    picture = background.resize((sample.width, sample.height), Image.Resampling.BICUBIC)
    cell = sample.width / len(sample.symbols)
    for n, symbol in enumerate(sample.symbols):
        side = int(min(cell, sample.height) * rng.uniform(0.62, 0.84))
        sticker = _sticker(symbol, side).rotate(rng.uniform(-18, 18), Image.Resampling.BICUBIC, expand=True)
        left = int((n + 0.5) * cell - sticker.width / 2)
        top = int((sample.height - sticker.height) * rng.uniform(0.3, 0.7))
        picture.paste(sticker, (left, top), sticker)
    return picture


def _sticker(symbol: str, side: int) -> Image.Image:
    cut = cut_out(symbol)
    scale = side / max(cut.size)
    return cut.resize((round(cut.width * scale), round(cut.height * scale)), Image.Resampling.LANCZOS)


def _save(picture: Image.Image, file: Path) -> None:
    options: dict[str, dict[str, Any]] = {
        ".jpg": {"quality": 78, "optimize": True},
        ".png": {"optimize": True},
        ".webp": {"quality": 80, "method": 6},
    }
    if file.suffix == ".png":
        # An ordinary palette PNG: smaller, and another thing to decode.
        picture = picture.quantize(128)
    picture.save(file, **options[file.suffix])


def _save_animation(background: Image.Image, file: Path) -> None:
    rng = random.Random(SEED)
    frames = [
        _scene(Sample("", symbol, ANIMATION.width, ANIMATION.height), background, rng)
        for symbol in ANIMATION.symbols
    ]
    small = [frame.quantize(64) for frame in frames]
    small[0].save(file, save_all=True, append_images=small[1:], duration=400, loop=0)


def _save_odd_ones(out: Path) -> None:
    """Write what every platform receives: half a file, an empty one, a letter, a wrong suffix."""
    whole = (out / "castle.jpg").read_bytes()
    (out / "broken-upload.jpg").write_bytes(whole[: len(whole) // 3])
    (out / "empty.png").write_bytes(b"")
    (out / "not-a-picture.jpg").write_text("Dear moderators, this is a letter.\n", encoding="utf-8")
    shutil.copyfile(out / "violin.png", out / "violin-that-is-a-png.jpg")
    noise = np.random.default_rng(SEED).integers(0, 255, (200, 200), np.uint8)
    Image.fromarray(noise).save(out / "grey-noise.jpg", quality=60)


def _save_table(file: Path) -> None:
    samples = {sample.file: sample.labels for sample in (*SAMPLES, ANIMATION)}
    samples |= {copy: samples[original] for copy, original in REPEATS.items()}
    samples |= {"violin-that-is-a-png.jpg": "", "grey-noise.jpg": ""}
    samples |= dict.fromkeys(("broken-upload.jpg", "empty.png", "not-a-picture.jpg"), "undecodable")
    with file.open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("file", "labels"))
        writer.writerows(sorted(samples.items()))


if __name__ == "__main__":
    try:
        typer.run(main)
    except ModerationError as error:
        sys.exit(f"error: {error.message}\n  hint: {error.hint}")
