"""What the desk's pages work with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from worker.settings import Settings
from worker.store.accounts import desk_keys
from worker.store.engine.database import Database
from worker.web.desk.request.clients import TrustedProxies
from worker.web.desk.request.known_browsers import KnownBrowsers
from worker.web.desk.request.picture_links import PictureLinks
from worker.web.desk.request.picture_queue import PictureQueue
from worker.wiring.review_desk import DeskComponents, ReviewDesk, open_desk_components

#: Where the desk is, below the path that the proxy serves us under.
PREFIX: Final = "/review"
#: Pictures that are fetched and decoded at once; the decoders have processes of their own.
_PICTURES_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class DeskService:
    """What a web process shows to reviewers."""

    settings: Settings
    #: The path that all pages are below, as browsers see it.
    root: str
    proxies: TrustedProxies
    links: PictureLinks
    browsers: KnownBrowsers
    parts: DeskComponents
    pictures: PictureQueue

    @property
    def work(self) -> ReviewDesk:
        """What people do with the queue."""
        return self.parts.queue

    @property
    def database(self) -> Database:
        """Where all of it is."""
        return self.work.database


@contextmanager
def open_desk_service(settings: Settings, queue: ReviewDesk) -> Iterator[DeskService]:
    """Assemble what the pages need; SettingsError where a trusted proxy has no address."""
    proxies = TrustedProxies.parse(settings.trusted_proxies)
    with queue.database.transaction() as session:
        key = desk_keys.picture_key(session)
    root = f"{settings.web_root_path}{PREFIX}"
    with open_desk_components(settings, queue) as parts:
        yield DeskService(
            settings,
            root,
            proxies,
            PictureLinks(key, root),
            KnownBrowsers(key),
            parts,
            PictureQueue(parts.show_picture, _PICTURES_AT_ONCE),
        )
