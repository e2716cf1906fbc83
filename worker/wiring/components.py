"""Opens the components that several services share: database, model, decoder, picture reader."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from worker.concurrency.periodic import run_periodically
from worker.encoder.batching_encoder import BatchingEncoder
from worker.encoder.protocol import Encoder
from worker.encoder.text_cache import TextCache
from worker.images.limits import Limits
from worker.images.processes.pool import DecoderPool
from worker.images.sources.allowed_sources import AllowedSources
from worker.images.sources.download import Download
from worker.images.sources.local_folder import LocalFolder
from worker.images.sources.object_store import ObjectStores
from worker.images.sources.reader import ImageReader
from worker.network.address_guard import AddressGuard, AllowedHosts
from worker.network.http import GuardedHttp
from worker.observability.metrics import Metrics
from worker.settings import Settings
from worker.store.engine.database import Database
from worker.usecases.accounts.desk_keys import DeskKeys
from worker.usecases.policies.keep_text_vectors import KeepTextVectors
from worker.wiring.sizing import Sizing


def open_database(settings: Settings) -> Database:
    """Return the database of this deployment, not yet connected."""
    return Database.connect(settings.database_url, settings.database_password)


def limits_of(settings: Settings) -> Limits:
    """Return the limits on pictures from the settings."""
    return Limits(
        max_bytes=settings.max_picture_bytes,
        max_pixels=settings.max_picture_pixels,
        max_side=settings.max_picture_side,
        max_frames=settings.max_frames,
    )


def image_reader(settings: Settings) -> ImageReader:
    """Return the reader of submitted pictures; SettingsError if a host or a store's root is malformed."""
    limits = limits_of(settings)
    http = GuardedHttp(_url_guard(settings))
    return ImageReader(
        LocalFolder(settings.media_root, limits),
        Download(http, limits, settings.download_seconds),
        ObjectStores.open(settings.object_stores, limits, settings.download_seconds),
        limits,
    )


def allowed_sources(settings: Settings) -> AllowedSources:
    """Return the sources that pictures may be read from; SettingsError if a host is malformed."""
    return AllowedSources(_url_guard(settings), settings.object_stores.keys())


def _url_guard(settings: Settings) -> AddressGuard:
    return AddressGuard(AllowedHosts.parse(settings.url_hosts))


@contextmanager
def open_encoder(
    settings: Settings, metrics: Metrics | None = None, database: Database | None = None
) -> Iterator[Encoder]:
    """Load the model; threads share its passes, and no phrase is encoded twice.

    With a `database`, phrases are not encoded again after a restart either.
    """
    # Torch takes seconds to import, and most commands need no model.
    from worker.encoder.towers.text_tower import IDLE_SECONDS, READING_VERSION  # noqa: PLC0415
    from worker.encoder.towers.transformers_encoder import TransformersEncoder  # noqa: PLC0415

    sizing = Sizing.of(settings)
    loaded = TransformersEncoder.load(
        settings.model,
        threads=sizing.torch_threads,
        precision=settings.precision,
        passes=sizing.passes,
        device=settings.device,
    )
    observe = (metrics or Metrics()).batched
    batcher = BatchingEncoder(loaded, settings.batch_size, observe, passes=sizing.passes)
    memory = KeepTextVectors(database, f"{loaded.info.digest}-{READING_VERSION}") if database else None
    with (
        closing(batcher),
        run_periodically(loaded.texts.unload_if_idle, IDLE_SECONDS / 2, name="the text tower"),
    ):
        yield TextCache(batcher, memory=memory)


@contextmanager
def open_decoder(
    settings: Settings, database: Database | None = None, *, lazy: bool = False
) -> Iterator[DecoderPool]:
    """Start the decoder processes, if `lazy` on first use; does not wait until they are ready.

    With a `database`, the frames of long animations are sampled with the deployment's secret key, else
    without a key.
    """
    decoder = DecoderPool(
        limits_of(settings),
        processes=settings.decoder_processes,
        seconds=settings.decode_seconds,
        memory_bytes=settings.decoder_memory_bytes,
        lazy=lazy,
        frame_key=DeskKeys(database).frames() if database else b"",
    )
    try:
        yield decoder
    finally:
        decoder.close()
