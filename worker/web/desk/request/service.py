"""The components that the desk's pages use."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from worker.settings import Settings
from worker.store.engine.database import Database
from worker.usecases.reviews.draw_heat_map import DrawnHeatMap, HeatMapRequest
from worker.usecases.reviews.show_picture import PictureRequest, ShownPicture
from worker.web.desk.request.clients import TrustedProxies
from worker.web.desk.request.known_browsers import KnownBrowsers
from worker.web.desk.request.picture_links import PictureLinks
from worker.web.desk.request.picture_queue import PictureQueue
from worker.wiring.review_desk import DeskComponents, ReviewDesk, open_desk_components

#: The desk's path, below the proxy's path prefix.
PREFIX: Final = "/review"
#: Pictures fetched and decoded at the same time; decoding itself runs in separate processes.
_PICTURES_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class DeskService:
    """The components of the desk in a web process."""

    settings: Settings
    #: The path of all pages, as browsers see it.
    root: str
    proxies: TrustedProxies
    links: PictureLinks
    browsers: KnownBrowsers
    parts: DeskComponents
    pictures: PictureQueue[PictureRequest, ShownPicture]
    #: None if heat maps are turned off.
    heat_maps: PictureQueue[HeatMapRequest, DrawnHeatMap] | None

    @property
    def work(self) -> ReviewDesk:
        """The use cases of the review queue."""
        return self.parts.queue


@contextmanager
def open_desk_service(settings: Settings, database: Database, queue: ReviewDesk) -> Iterator[DeskService]:
    """Assemble the desk's components; SettingsError if a trusted proxy is not an address or network."""
    proxies = TrustedProxies.parse(settings.trusted_proxies)
    root = f"{settings.web_root_path}{PREFIX}"
    with open_desk_components(settings, database, queue) as parts:
        yield DeskService(
            settings,
            root,
            proxies,
            PictureLinks(parts.picture_key, root),
            KnownBrowsers(parts.picture_key),
            parts,
            PictureQueue(parts.show_picture, _PICTURES_AT_ONCE),
            # One at a time: the process that holds the model answers one request at a time.
            PictureQueue(parts.draw_heat_map, 1) if parts.draw_heat_map else None,
        )
