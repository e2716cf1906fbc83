"""Assembles notifications: the callbacks that the settings allow, and the delivery of events."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

from moderation_client import webhooks
from moderation_client.callback import WebhookCallback
from moderation_client.producer import Producer

from worker.errors import CallbackNotAllowedError, InvalidSubmissionError, SettingsError
from worker.network.address_guard import AddressGuard, AllowedHosts
from worker.network.http import GuardedHttp
from worker.notifications.allowed_callbacks import AllowedCallbacks, AllowedNames
from worker.notifications.celery_callback import CeleryTask
from worker.notifications.webhook import Webhook
from worker.settings import Settings
from worker.store.engine.database import Database
from worker.usecases.operations.deliver_events import DeliverEvents
from worker.usecases.operations.send_test_event import SendTestEvent

#: Values of a setting that is not set; a compose file passes unset variables on as empty.
_NONE = ("", "none")


@contextmanager
def open_deliverer(settings: Settings, database: Database) -> Iterator[DeliverEvents]:
    """Yield the use case that notifies the platform; SettingsError if callbacks are misconfigured."""
    allowed = allowed_callbacks(settings)
    http = GuardedHttp(allowed.guard)
    webhook = Webhook(http, _webhook_keys(settings), settings.webhook_seconds)
    is_set = settings.callback_broker_url not in _NONE
    broker_url = settings.callback_broker_url if is_set else settings.broker_url
    setting = "MODERATION_CALLBACK_BROKER_URL" if is_set else "MODERATION_BROKER_URL"
    with closing(Producer(broker_url, setting=setting)) as producer:
        give_up_after = timedelta(hours=settings.callback_hours)
        yield DeliverEvents(database, allowed, webhook, CeleryTask(producer), give_up_after)


def sample_event_sender(settings: Settings) -> SendTestEvent:
    """Return the use case that tests a receiver; SettingsError if webhooks cannot be sent or signed."""
    allowed = allowed_callbacks(settings)
    webhook = Webhook(GuardedHttp(allowed.guard), _webhook_keys(settings), settings.webhook_seconds)
    return SendTestEvent(allowed, webhook)


def allowed_callbacks(settings: Settings) -> AllowedCallbacks:
    """Return the allowed callbacks; SettingsError if a list is malformed, or no secret signs webhooks."""
    hosts = AllowedHosts.parse(settings.webhook_hosts, "MODERATION_WEBHOOK_HOSTS")
    if hosts != AllowedHosts() and not _webhook_keys(settings):
        raise SettingsError(
            "MODERATION_WEBHOOK_HOSTS allows webhooks, but there is no secret to sign them with",
            hint="set MODERATION_WEBHOOK_SECRETS to what `moderate outbox new-secret` prints, and give it to "
            "the receivers",
        )
    tasks = AllowedNames.parse(settings.callback_tasks, "MODERATION_CALLBACK_TASKS")
    queues = AllowedNames.parse(settings.callback_queues, "MODERATION_CALLBACK_QUEUES")
    return AllowedCallbacks(
        AddressGuard(hosts, setting="MODERATION_WEBHOOK_HOSTS"),
        tasks,
        queues if settings.callback_queues else tasks.usual_queues(),
        own_queue=settings.queue if settings.callback_broker_url in (*_NONE, settings.broker_url) else "",
    )


def default_callback(settings: Settings) -> WebhookCallback | None:
    """Return the callback of submissions that name none; SettingsError if its URL is not allowed."""
    if settings.webhook_url in _NONE:
        return None
    try:
        callback = WebhookCallback(settings.webhook_url)
        allowed_callbacks(settings).check(callback)
    except (InvalidSubmissionError, CallbackNotAllowedError) as error:
        problem = error.message.removeprefix("callback: ")
        raise SettingsError(f"MODERATION_WEBHOOK_URL: {problem}", hint=error.hint) from None
    return callback


def _webhook_keys(settings: Settings) -> tuple[bytes, ...]:
    text = settings.webhook_secrets
    return () if text in _NONE else webhooks.read_secrets(text)
