"""Whom this deployment tells of decisions: asked where a submission is accepted, and again before telling."""

import re
from dataclasses import dataclass
from typing import Final, Self

from moderation_client.callback import Callback, CeleryCallback, WebhookCallback
from moderation_client.url import Url

from worker.errors import AddressNotAllowedError, CallbackNotAllowedError, SettingsError
from worker.network.address_guard import AddressGuard, AllowedHosts

NO_NAME: Final = "none"

_PATTERN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]*?(?:\.\*)?")
#: Keys that kombu and Celery keep for themselves: a message there would switch redelivery or events off.
_RESERVED: Final = re.compile(r"(unacked|_kombu\.|celeryev|celery-task|amq\.).*|.*\.pidbox")


@dataclass(frozen=True, slots=True)
class AllowedNames:
    """The Celery tasks that an operator lets workers call, or the queues that they may be called through."""

    #: Names, or `name.*` for all names that begin so.
    patterns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, setting: str) -> Self:
        """Read a setting: `none`, or names with commas between; SettingsError otherwise."""
        words = [word for word in re.split(r"[,\s]+", text.strip()) if word]
        if words in ([], [NO_NAME]):
            return cls()
        for word in words:
            if not _PATTERN.fullmatch(word):
                what = setting.rpartition("_")[2].lower().removesuffix("s")
                raise SettingsError(
                    f"{setting}: {word[:80]!r} is not a {what}'s name",
                    hint=f"posts.moderated, posts.*, several with commas, or {NO_NAME}",
                )
        return cls(tuple(words))

    def usual_queues(self) -> Self:
        """Return the queues that go with these tasks if none are named: `posts` with `posts.moderated`."""
        first = dict.fromkeys(pattern.partition(".")[0] for pattern in self.patterns)
        return type(self)((*first, "celery") if first else ())

    def __contains__(self, name: str) -> bool:
        return any(
            name.startswith(pattern[:-1]) if pattern.endswith(".*") else name == pattern
            for pattern in self.patterns
        )


@dataclass(frozen=True, slots=True)
class AllowedCallbacks:
    """Which webhooks are sent and which tasks called."""

    guard: AddressGuard
    tasks: AllowedNames
    queues: AllowedNames
    #: The workers' queue, in which the platform's task would be thrown away.
    own_queue: str = ""

    def check(self, callback: Callback | None) -> None:
        """Raise CallbackNotAllowedError, with the way out, where nobody would be told."""
        match callback:
            case WebhookCallback(url):
                try:
                    self.guard.check(Url.parse(url))
                except AddressNotAllowedError as refusal:
                    raise CallbackNotAllowedError(f"callback: {refusal.message}", hint=refusal.hint) from None
            case CeleryCallback(task, queue):
                self._check_task(task, queue)

    def _check_task(self, task: str, queue: str) -> None:
        if task not in self.tasks:
            raise CallbackNotAllowedError(
                f"callback: the task {task} is not one that is called from here",
                hint="MODERATION_CALLBACK_TASKS names the tasks that are called with decisions",
            )
        self._check_queue(queue)

    def _check_queue(self, queue: str) -> None:
        if self.own_queue and (queue == self.own_queue or queue.startswith(f"{self.own_queue}:")):
            raise CallbackNotAllowedError(
                f"callback: the queue {queue} is the workers' own", hint="name a queue of the platform's"
            )
        if _RESERVED.fullmatch(queue):
            raise CallbackNotAllowedError(
                f"callback: {queue} is a key that Celery itself uses, not a queue",
                hint="name a queue of the platform's",
            )
        if queue not in self.queues:
            raise CallbackNotAllowedError(
                f"callback: the queue {queue} is not one that tasks are called through from here",
                hint="MODERATION_CALLBACK_QUEUES names the queues that callbacks may use",
            )


NOBODY: Final = AllowedCallbacks(AddressGuard(AllowedHosts()), AllowedNames(), AllowedNames())
