"""Measure pictures a second, from enqueue to decision committed, against what people would run instead.

    python benchmarks/throughput.py [--rounds 5] [--pictures 32] [--labels 20] [--out FILE.json]

CLIP ViT-B/32 with random weights, synthetic JPEGs of 1600 x 1200, every core; float32 where nothing else is
said. The ways take turns, round after round, each on pictures that nobody has seen; told are the median of
the rounds, the smallest and the largest. The tower alone is the ceiling of all who encode pictures one batch
after another, and the matrix product the tower's.
"""

import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from celery import Celery
from circumstances import circumstances
from decoding import draw
from PIL import Image
from random_model import save_clip
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import create_engine, func, select, text
from transformers import AutoImageProcessor, AutoModelForZeroShotImageClassification, AutoTokenizer, pipeline

from worker.client import Client, LocalFile
from worker.demo.processes import running, wait_until
from worker.demo.redis_server import running_redis
from worker.demo.stage import running_worker
from worker.settings import Settings
from worker.store import schema
from worker.store.database import Database
from worker.store.tables import DecisionRow

RIVALS = Path(__file__).parent / "rivals"
BATCH = 32
TOWER, NAIVE = "the tower alone, batch 32", "Celery task around the pipeline"
PATIENCE_SECONDS = 600
#: As many pictures are drawn; bytes behind a JPEG's end make any number of different files of them.
DRAWN = 16

#: Judges the pictures in these files.
Way = Callable[[Sequence[Path]], object]


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 5,
    pictures: Annotated[int, typer.Option(min=1, help="Pictures in a round.")] = 64,
    labels: Annotated[int, typer.Option(min=1, help="Labels.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print pictures a second."""
    run = circumstances(__file__, "torch", "transformers", "celery", "redis", "sqlalchemy", "pillow")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ways = _ways(Path(folder), [f"a thing of kind {n}" for n in range(labels)], stack)
        figures = _measure(ways, Path(folder) / "media", pictures, rounds)
    run |= {"labels": labels, "pictures in a round": pictures, "rounds": rounds}
    run |= {"pictures a second": figures, "matrix product, GFLOP/s": _matrix_product()}
    show(run)
    if out:
        out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _ways(folder: Path, labels: list[str], stack: ExitStack) -> dict[str, Way]:
    model = save_clip(folder / "model")
    (folder / "media").mkdir()
    redis_url = stack.enter_context(running_redis(folder))
    tower, half = Tower(model, labels), Tower(model, labels, torch.bfloat16)
    zero_shot = pipeline("zero-shot-image-classification", str(model), dtype=torch.float32)

    def by_pipeline(batch: int) -> Way:
        return lambda files: zero_shot([str(one) for one in files], candidate_labels=labels, batch_size=batch)

    return {
        TOWER: tower.alone,
        f"{TOWER}, bfloat16": half.alone,
        "pipeline, batch 1": by_pipeline(1),
        "pipeline, batch 32": by_pipeline(BATCH),
        NAIVE: stack.enter_context(_rival(folder, redis_url, model, labels)),
        "cached loop by hand, batch 32": tower.loop,
        "cached loop by hand, bfloat16": half.loop,
        "moderation-worker": stack.enter_context(_ours(folder, redis_url, model, labels, "float32")),
        "moderation-worker, bfloat16": stack.enter_context(
            _ours(folder, redis_url, model, labels, "bfloat16")
        ),
    }


@dataclass
class Tower:
    """The model in this process, with the labels encoded once."""

    folder: Path
    labels: list[str]
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        self.model = AutoModelForZeroShotImageClassification.from_pretrained(self.folder, dtype=torch.float32)
        self.processor = AutoImageProcessor.from_pretrained(self.folder, backend="pil")
        tokens = AutoTokenizer.from_pretrained(self.folder)(self.labels, padding=True, return_tensors="pt")
        with torch.inference_mode():
            self.texts = _unit(self.model.get_text_features(**tokens).pooler_output)
        self.model.to(self.dtype)

    def alone(self, files: Sequence[Path]) -> None:
        """Encode as many pictures of noise: no file is read."""
        with torch.inference_mode():
            for batch in _batches(files):
                self.model.get_image_features(
                    pixel_values=torch.randn(len(batch), 3, 224, 224, dtype=self.dtype)
                )

    def loop(self, files: Sequence[Path]) -> None:
        """Do as one would by hand: open, process, encode and score, batch after batch; record nothing."""
        with torch.inference_mode():
            for batch in _batches(files):
                opened = [Image.open(one).convert("RGB") for one in batch]
                pixels = self.processor(images=opened, return_tensors="pt")["pixel_values"].to(self.dtype)
                vectors = _unit(self.model.get_image_features(pixel_values=pixels).pooler_output.float())
                (vectors @ self.texts.T * 100).softmax(dim=1).tolist()


@contextmanager
def _ours(
    folder: Path, redis_url: str, model: Path, labels: list[str], precision: Literal["float32", "bfloat16"]
) -> Iterator[Way]:
    settings = Settings.read(
        broker_url=redis_url,
        queue=f"ours-{secrets.token_hex(4)}",
        database_url=f"sqlite:///{folder / f'{precision}.db'}",
        policies=_policy(folder / f"policies-{precision}", labels),
        policy="labels",
        media_root=folder / "media",
        model=str(model),
        precision=precision,
    )
    database = Database.connect(settings.database_url)
    schema.upgrade(database)
    with (
        running_worker(settings, folder / f"{precision}.log"),
        Client(redis_url, queue=settings.queue) as client,
    ):

        def judge(files: Sequence[Path]) -> None:
            before = _count(database)
            for file in files:
                client.submit(LocalFile(file.name), id=file.name)
            _wait(lambda: _count(database) - before >= len(files), "our decisions")

        yield judge
    database.dispose()


@contextmanager
def _rival(folder: Path, redis_url: str, model: Path, labels: list[str]) -> Iterator[Way]:
    database = f"sqlite:///{folder / 'rival.db'}"
    cores = os.cpu_count() or 1
    environment = {
        "RIVAL_BROKER": redis_url,
        "RIVAL_DATABASE": database,
        "RIVAL_MODEL": str(model),
        "RIVAL_LABELS": ",".join(labels),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(RIVALS),
    }
    command = [sys.executable, "-m", "celery", "-A", "pipeline_task", "worker", "-P", "prefork"]
    command += ["-c", str(cores), "--prefetch-multiplier", "1", "--loglevel", "INFO"]
    log, engine = folder / "rival.log", create_engine(database)
    with running(command, log=log, environment=environment) as process:
        wait_until(
            lambda: b"ready." in log.read_bytes(),
            process=process,
            log=log,
            what="the rival's worker",
            timeout_seconds=120,
        )

        def count() -> int:
            try:
                with engine.connect() as connection:
                    return int(connection.scalar(text("SELECT count(*) FROM decisions")) or 0)
            except Exception:  # noqa: BLE001 - its tables come with its first decision
                return 0

        def judge(files: Sequence[Path]) -> None:
            before = count()
            with Celery(broker=redis_url, set_as_current=False) as app:
                for file in files:
                    app.send_task("rival.moderate", (file.name, str(file)), queue="rival")
            _wait(lambda: count() - before >= len(files), f"the rival's decisions, see {log}")

        yield judge
    engine.dispose()


def _policy(folder: Path, labels: list[str]) -> Path:
    folder.mkdir()
    told = "\n".join(f"  label-{n}: {{prompts: [{label}], review: 0.5}}" for n, label in enumerate(labels))
    head = "name: labels\nbackground: [an ordinary picture]\ntemplates: ['{}']\nlabels:\n"
    (folder / "labels.yaml").write_text(f"{head}{told}\n", encoding="utf-8")
    return folder


def _measure(ways: dict[str, Way], media: Path, pictures: int, rounds: int) -> dict[str, Any]:
    """Return pictures a second of each way; the first round, in which everything is loaded, is left out."""
    drawn = [draw(seed) for seed in range(DRAWN)]
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in track(range(-1, rounds), description="measuring", console=Console(stderr=True)):
        for way, (name, judge) in enumerate(ways.items()):
            files = _files(media, drawn, f"r{turn + 1}-{way}", pictures)
            started = time.perf_counter()
            judge(files)
            if turn >= 0:
                rates[name].append(len(files) / (time.perf_counter() - started))
            for file in files:
                file.unlink()
    return {
        name: {"median": statistics.median(found), "least": min(found), "most": max(found)}
        for name, found in rates.items()
    }


def _files(media: Path, drawn: Sequence[bytes], prefix: str, count: int) -> list[Path]:
    files = [media / f"{prefix}-{n}.jpg" for n in range(count)]
    for n, file in enumerate(files):
        file.write_bytes(drawn[n % len(drawn)] + file.name.encode())
    return files


def _matrix_product() -> float:
    """Return what this machine's float32 product does at most, in 10^9 operations a second."""
    left, right = torch.randn(2048, 2048), torch.randn(2048, 2048)
    best = 0.0
    for _ in range(10):
        started = time.perf_counter()
        torch.mm(left, right)
        best = max(best, 2 * 2048**3 / (time.perf_counter() - started))
    return best / 1e9


def _batches(files: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for start in range(0, len(files), BATCH):
        yield files[start : start + BATCH]


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True)


def _count(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(DecisionRow)) or 0


def _wait(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(0.02)


def show(run: dict[str, Any]) -> None:
    """Print the figures, each beside the tower alone and the Celery task around the pipeline."""
    figures = run["pictures a second"]
    tower = figures[TOWER]["median"]
    naive = figures[NAIVE]["median"]
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("", "pictures a second", "least", "most", "of fp32 tower", "x the task"):
        table.add_column(column, justify="right" if column else "left")
    for name, one in figures.items():
        rates = [f"{one[which]:.2f}" for which in ("median", "least", "most")]
        table.add_row(name, *rates, f"{one['median'] / tower:.0%}", f"{one['median'] / naive:.1f}")
    Console().print(f"{run['machine']}; {run['labels']} labels, 1600 x 1200", table)


if __name__ == "__main__":
    typer.run(main)
