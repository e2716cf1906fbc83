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
from worker.images.download import Download
from worker.images.limits import Limits
from worker.images.local_folder import LocalFolder
from worker.images.object_store import ObjectStores
from worker.images.reader import ImageReader
from worker.network.address_guard import AddressGuard, AllowedHosts
from worker.network.http import GuardedHttp
from worker.policy_files.library import PolicyLibrary
from worker.settings import Settings
from worker.store import schema
from worker.store.database import Database
from worker.usecases.classify_pictures import ClassifyPictures
from worker.usecases.explain_decision import ExplainDecision
from worker.usecases.judge_picture import JudgePicture
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
        reader = image_reader(settings)
        with open_encoder(settings) as encoder:
            policies = open_policies(settings, encoder)
            policies.current(settings.policy)
            judge_picture = JudgePicture(encoder, limits_of(settings))
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


def image_reader(settings: Settings) -> ImageReader:
    """Return what fetches submitted pictures; SettingsError where a host or a store's root is none."""
    limits = limits_of(settings)
    http = GuardedHttp(AddressGuard(AllowedHosts.parse(settings.url_hosts)))
    return ImageReader(
        LocalFolder(settings.media_root, limits),
        Download(http, limits, settings.download_seconds),
        ObjectStores.open(settings.object_stores, limits, settings.download_seconds),
        limits,
    )


def scan_folder(settings: Settings, encoder: Encoder) -> ScanFolder:
    """Return the use case that judges files without broker or database."""
    limits = limits_of(settings)
    return ScanFolder(JudgePicture(encoder, limits), limits, concurrency=2 * settings.batch_size)


def classify_pictures(settings: Settings, encoder: Encoder) -> ClassifyPictures:
    """Return the use case that ranks labels on pictures."""
    return ClassifyPictures(encoder, limits_of(settings), concurrency=2 * settings.batch_size)


def explain_decision(settings: Settings, encoder: Encoder, database: Database) -> ExplainDecision:
    """Return the use case that makes recorded decisions again."""
    return ExplainDecision(database, encoder, JudgePicture(encoder, limits_of(settings)).digest)


def limits_of(settings: Settings) -> Limits:
    """Return what a picture may cost here."""
    return Limits(
        max_bytes=settings.max_picture_bytes,
        max_pixels=settings.max_picture_pixels,
        max_side=settings.max_picture_side,
        max_frames=settings.max_frames,
    )
