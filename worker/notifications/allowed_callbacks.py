"""The callbacks that this deployment allows; checked when submissions are accepted, and before sending."""

import re
from dataclasses import dataclass
from typing import Final, Self

from moderation_client.callback import Callback, CeleryCallback, WebhookCallback
from moderation_client.url import Url

from worker.errors import AddressNotAllowedError, CallbackNotAllowedError, SettingsError
from worker.network.address_guard import AddressGuard, AllowedHosts

NO_NAME: Final = "none"

_PATTERN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]*?(?:\.\*)?")
#: Keys reserved by kombu and Celery: a message there would break redelivery or events.
_RESERVED: Final = re.compile(r"(unacked|_kombu\.|celeryev|celery-task|amq\.).*|.*\.pidbox")


@dataclass(frozen=True, slots=True)
class AllowedNames:
    """The Celery tasks that workers may call, or the queues that they may use for it."""

    #: Names, or `name.*` for all names with this prefix.
    patterns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, setting: str) -> Self:
        """Parse a setting: `none`, or names separated by commas; SettingsError otherwise."""
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
        """Return the default queues of these tasks: `posts` and `celery` for `posts.moderated`."""
        first = dict.fromkeys(pattern.partition(".")[0] for pattern in self.patterns)
        return type(self)((*first, "celery") if first else ())

    def __contains__(self, name: str) -> bool:
        return any(
            name.startswith(pattern[:-1]) if pattern.endswith(".*") else name == pattern
            for pattern in self.patterns
        )


@dataclass(frozen=True, slots=True)
class AllowedCallbacks:
    """The webhooks and Celery tasks that are allowed as callbacks."""

    guard: AddressGuard
    tasks: AllowedNames
    queues: AllowedNames
    #: The workers' queue; workers would drop the platform's task.
    own_queue: str = ""

    def check(self, callback: Callback | None) -> None:
        """Raise CallbackNotAllowedError if this callback is not allowed; the hint says what to do."""
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
                f"callback: the task {task} is not allowed here",
                hint="MODERATION_CALLBACK_TASKS names the tasks that callbacks may call",
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
                f"callback: the queue {queue} is not allowed here",
                hint="MODERATION_CALLBACK_QUEUES names the queues that callbacks may use",
            )


NO_CALLBACKS: Final = AllowedCallbacks(AddressGuard(AllowedHosts()), AllowedNames(), AllowedNames())
