"""Assembles the export of a faster int8 copy of the configured model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.encoder.protocol import Encoder
from worker.encoder.towers.int8_export import check_exportable, check_installed
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.settings import Settings
from worker.usecases.moderation.judge_picture import JudgePicture
from worker.usecases.policies.export_int8 import ExportInt8
from worker.wiring.components import open_decoder
from worker.wiring.policies import open_policies


@contextmanager
def open_export(settings: Settings) -> Iterator[ExportInt8]:
    """Load the model and the policies in force, and yield the use case that makes an int8 copy.

    ModelError if a package is missing or the model cannot be exported; UsageError if it is in int8 already;
    InvalidPolicyError as in `open_policies`.
    """
    check_installed()

    def load(folder: Path) -> Encoder:
        return TransformersEncoder.load(
            str(folder), threads=settings.torch_threads, precision=settings.precision
        )

    with open_decoder(settings) as decoder:
        # In float32, whatever workers compute in: the copy is made from it and compared with it.
        encoder = TransformersEncoder.load(settings.model, threads=settings.torch_threads)
        check_exportable(encoder)
        policies = open_policies(settings, JudgePicture(encoder, decoder)).in_force
        yield ExportInt8(encoder, load, decoder, policies, settings.policies, settings.batch_size)
