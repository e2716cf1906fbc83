"""Whom this deployment tells of decisions: asked where a submission is accepted, and again before telling."""

import re
from dataclasses import dataclass
from typing import Final, Self

from worker.domain.callback import Callback, CeleryCallback, WebhookCallback
from worker.domain.url import Url
from worker.errors import AddressNotAllowedError, CallbackNotAllowedError, SettingsError
from worker.network.address_guard import AddressGuard, AllowedHosts

NO_TASK: Final = "none"

_PATTERN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]*?(?:\.\*)?")


@dataclass(frozen=True, slots=True)
class AllowedTasks:
    """The Celery tasks that an operator lets workers call."""

    #: Names, or `name.*` for all names that begin so.
    patterns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a setting: `none`, or names with commas between; SettingsError otherwise."""
        words = [word for word in re.split(r"[,\s]+", text.strip()) if word]
        if words in ([], [NO_TASK]):
            return cls()
        for word in words:
            if not _PATTERN.fullmatch(word):
                raise SettingsError(
                    f"MODERATION_CALLBACK_TASKS: {word[:80]!r} is not a task's name",
                    hint=f"posts.moderated, posts.*, several with commas, or {NO_TASK}",
                )
        return cls(tuple(words))

    def __contains__(self, task: str) -> bool:
        return any(
            task.startswith(pattern[:-1]) if pattern.endswith(".*") else task == pattern
            for pattern in self.patterns
        )


@dataclass(frozen=True, slots=True)
class AllowedCallbacks:
    """Which webhooks are sent and which tasks called."""

    guard: AddressGuard
    tasks: AllowedTasks
    #: The workers' queue, where a stranger's task would be thrown away.
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
        if queue == self.own_queue:
            raise CallbackNotAllowedError(
                f"callback: the queue {queue} is the workers' own", hint="name a queue of the platform's"
            )


NOBODY: Final = AllowedCallbacks(AddressGuard(AllowedHosts()), AllowedTasks())
