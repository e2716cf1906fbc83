"""Assembles what explains decisions: with a loaded model for commands, in a child process for the desk."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from worker.concurrency.periodic import run_periodically
from worker.encoder.explaining.child_explainer import IDLE_SECONDS, ChildExplainer, ChildSettings
from worker.encoder.text_cache import TextCache
from worker.images.processes.pool import DecoderPool
from worker.settings import Settings
from worker.store.engine.database import Database
from worker.usecases.moderation.judged_pictures import ReadJudgedPicture
from worker.usecases.policies.explain_decision import ExplainDecision
from worker.usecases.reviews.draw_heat_map import DrawHeatMap
from worker.usecases.reviews.show_picture import ShowPicture
from worker.wiring.components import image_reader, open_decoder
from worker.wiring.policies import explain_decision
from worker.wiring.sizing import Sizing


@dataclass(frozen=True, slots=True)
class Explaining:
    """The use cases of `moderate explain`."""

    explain: ExplainDecision
    draw: DrawHeatMap
    show: ShowPicture


@contextmanager
def open_explaining(settings: Settings, database: Database) -> Iterator[Explaining]:
    """Load the model once for all; ModelError if that fails. Decoders start if they are needed."""
    # Torch takes seconds to import, and most commands need no model.
    from worker.encoder.explaining.model_explainer import ModelExplainer  # noqa: PLC0415
    from worker.encoder.towers.transformers_encoder import TransformersEncoder  # noqa: PLC0415

    encoder = TransformersEncoder.load(
        settings.model,
        threads=settings.torch_threads,
        precision=settings.precision,
        device=settings.device,
    )
    read = ReadJudgedPicture(database, image_reader(settings))
    with open_decoder(settings, database, lazy=True) as decoder:
        yield Explaining(
            explain_decision(settings, TextCache(encoder), database),
            DrawHeatMap(database, read, decoder, ModelExplainer(encoder)),
            ShowPicture(database, read, decoder),
        )


@contextmanager
def open_heat_maps(
    settings: Settings, database: Database, read: ReadJudgedPicture, decoder: DecoderPool
) -> Iterator[DrawHeatMap | None]:
    """Return the use case for the desk, None if it is turned off.

    The model is loaded in a child process when the first map is asked for; it ends when it is idle.
    """
    if not settings.review_heat_map_memory_bytes:
        yield None
        return
    child = ChildSettings(
        settings.model, Sizing.of(settings).torch_threads, settings.review_heat_map_memory_bytes
    )
    with (
        closing(ChildExplainer(child)) as explainer,
        run_periodically(explainer.end_if_idle, IDLE_SECONDS / 10, name="ending the idle model"),
    ):
        yield DrawHeatMap(database, read, decoder, explainer)
