"""The composition root: from settings to the assembled service; the only file that names every adapter."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from worker.domain.policy import Policy
from worker.domain.scoring import PhraseVectors
from worker.encoder.batcher import Batcher
from worker.encoder.phrases import encode_phrases
from worker.encoder.protocol import Encoder
from worker.encoder.text_cache import TextCache
from worker.images.decoder_pool import DecoderPool
from worker.images.limits import Limits
from worker.images.reader import ImageReader
from worker.policy_files.library import PolicyLibrary
from worker.settings import Settings
from worker.store import schema
from worker.store.database import Database
from worker.usecases.classify_pictures import ClassifyPictures
from worker.usecases.explain_decision import ExplainDecision
from worker.usecases.judge_picture import JudgePicture, vector_digest
from worker.usecases.moderate_image import ModerateImage
from worker.usecases.scan_folder import ScanFolder


@dataclass(frozen=True, slots=True)
class Service:
    """What a worker process runs."""

    encoder: Encoder
    policies: PolicyLibrary
    database: Database
    moderate_image: ModerateImage


@contextmanager
def open_service(settings: Settings) -> Iterator[Service]:
    """Assemble a worker's service, check all it needs, and follow the policy files while it is open.

    Raises the ModerationError of whatever is missing: the database or its tables, the model, a policy.
    """
    # The cheap checks first: nobody should wait for a model to learn that the database is away.
    database = open_database(settings)
    try:
        schema.check(database)
        # The decoders start while the model loads.
        with open_decoder(settings) as decoder, open_encoder(settings) as encoder:
            policies = open_policies(settings, encoder)
            policies.current(settings.policy)
            decoder.wait_until_ready()
            judge_picture = JudgePicture(encoder, decoder)
            reader = ImageReader(settings.media_root, limits_of(settings))
            moderate_image = ModerateImage(policies, settings.policy, reader, judge_picture, database)
            with policies.watching(settings.policy_reload_seconds):
                yield Service(encoder, policies, database, moderate_image)
    finally:
        database.dispose()


@contextmanager
def open_encoder(settings: Settings) -> Iterator[Encoder]:
    """Load the model; callers in many threads share its passes, and no phrase is encoded twice."""
    # Torch takes seconds to import, and most commands need no model.
    from worker.encoder.transformers_encoder import TransformersEncoder  # noqa: PLC0415

    batcher = Batcher(
        TransformersEncoder.load(settings.model, threads=settings.torch_threads), settings.batch_size
    )
    try:
        yield TextCache(batcher)
    finally:
        batcher.close()


@contextmanager
def open_decoder(settings: Settings) -> Iterator[DecoderPool]:
    """Start the processes that decode; returns before they are ready."""
    decoder = DecoderPool(
        limits_of(settings),
        processes=settings.decoder_processes,
        seconds=settings.decode_seconds,
        memory_bytes=settings.decoder_memory_bytes,
    )
    try:
        yield decoder
    finally:
        decoder.close()


def open_policies(settings: Settings, encoder: Encoder) -> PolicyLibrary:
    """Read every policy file and compute its vectors; InvalidPolicyError lists all problems of all files."""

    def embed(policy: Policy) -> PhraseVectors:
        return encode_phrases(encoder, list(policy.phrases()), policy.templates)

    policies = PolicyLibrary(settings.policies, embed)
    policies.load()
    return policies


def open_database(settings: Settings) -> Database:
    """Return the database of this deployment, not yet connected."""
    return Database.connect(settings.database_url)


def scan_folder(settings: Settings, encoder: Encoder, decoder: DecoderPool) -> ScanFolder:
    """Return the use case that judges files without broker or database."""
    return ScanFolder(JudgePicture(encoder, decoder), concurrency=2 * settings.batch_size)


def classify_pictures(settings: Settings, encoder: Encoder, decoder: DecoderPool) -> ClassifyPictures:
    """Return the use case that ranks labels on pictures."""
    return ClassifyPictures(encoder, decoder, concurrency=2 * settings.batch_size)


def explain_decision(settings: Settings, encoder: Encoder, database: Database) -> ExplainDecision:
    """Return the use case that makes recorded decisions again."""
    return ExplainDecision(database, encoder, vector_digest(encoder, limits_of(settings)))


def limits_of(settings: Settings) -> Limits:
    """Return what a picture may cost here."""
    return Limits(
        max_bytes=settings.max_picture_bytes,
        max_pixels=settings.max_picture_pixels,
        max_side=settings.max_picture_side,
        max_frames=settings.max_frames,
    )
