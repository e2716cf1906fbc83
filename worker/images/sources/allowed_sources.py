"""Rejects sources that are not allowed here when they are submitted."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import assert_never

from moderation_client.submission import ImageUrl, InlineBytes, LocalFile, Source, StoredObject
from moderation_client.url import Url

from worker.errors import AddressNotAllowedError, InvalidSubmissionError
from worker.network.address_guard import AddressGuard


@dataclass(frozen=True, slots=True)
class AllowedSources:
    """The hosts and object stores that this deployment reads pictures from."""

    guard: AddressGuard
    stores: Collection[str]

    def check(self, source: Source) -> None:
        """Raise InvalidSubmissionError for a host, a port, an address or a store that is not allowed."""
        match source:
            case ImageUrl(url):
                self._check_host(Url.parse(url))
            case StoredObject(store):
                self._check_store(store)
            case LocalFile() | InlineBytes():
                pass
            case _:
                assert_never(source)

    def _check_store(self, store: str) -> None:
        if store not in self.stores:
            raise InvalidSubmissionError(
                f"no object store {store!r} is configured here",
                hint="MODERATION_OBJECT_STORES names the stores and their roots",
                field="source.store",
            )

    def _check_host(self, url: Url) -> None:
        try:
            self.guard.check(url)
        except AddressNotAllowedError as error:
            raise InvalidSubmissionError(error.message, hint=error.hint, field="source.url") from None
