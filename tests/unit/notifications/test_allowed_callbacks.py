"""Who may be told is the operator's choice: nobody, unless a setting says so."""

import pytest
from moderation_client.callback import CeleryCallback, WebhookCallback
from moderation_client.webhooks import new_secret

from worker.errors import CallbackNotAllowedError, SettingsError
from worker.network.address_guard import AddressGuard, AllowedHosts
from worker.notifications.allowed_callbacks import NO_CALLBACKS, AllowedCallbacks, AllowedNames
from worker.settings import Settings
from worker.wiring.notifications import allowed_callbacks, default_callback

URL = WebhookCallback("https://platform.example/moderated?token=5ec7e7")
TASK = CeleryCallback("posts.moderated", "posts")


def allowed(hosts="*.example.com", tasks="posts.*, files.moderated", queues=None):
    names = AllowedNames.parse(tasks, "MODERATION_CALLBACK_TASKS")
    return AllowedCallbacks(
        AddressGuard(AllowedHosts.parse(hosts)),
        names,
        names.usual_queues() if queues is None else AllowedNames.parse(queues, "MODERATION_CALLBACK_QUEUES"),
        own_queue="moderation",
    )


@pytest.mark.parametrize("callback", [URL, TASK])
def test_by_default_nobody_is_told(callback):
    with pytest.raises(CallbackNotAllowedError, match="callback: the "):
        NO_CALLBACKS.check(callback)
    NO_CALLBACKS.check(None)


@pytest.mark.parametrize(
    "callback",
    [
        WebhookCallback("https://a.example.com/x"),
        TASK,
        CeleryCallback("posts.deeply.moderated", "posts"),
        CeleryCallback("files.moderated", "files"),
        CeleryCallback("files.moderated", "celery"),
    ],
)
def test_whom_the_operator_names_is_told(callback):
    allowed().check(callback)


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        (URL, "the host platform.example is not allowed"),
        (WebhookCallback("https://a.example.com:6379/"), "port 6379"),
        (CeleryCallback("postscript", "posts"), "the task postscript is not allowed"),
        (CeleryCallback("files.moderated.x", "posts"), "is not allowed"),
        (CeleryCallback("posts.moderated", "moderation"), "the queue moderation is the workers' own"),
        (CeleryCallback("posts.moderated", "moderation:rate:1"), "is the workers' own"),
        (CeleryCallback("posts.moderated", "postscript"), "the queue postscript is not allowed"),
        (CeleryCallback("posts.moderated", "posts.urgent"), "the queue posts.urgent is not allowed"),
    ],
)
def test_whom_nobody_named_is_not_told(callback, words):
    with pytest.raises(CallbackNotAllowedError, match=words) as error:
        allowed().check(callback)
    assert error.value.hint or "port" in words
    assert "5ec7e7" not in f"{error.value.message} {error.value.hint}"


@pytest.mark.parametrize(
    "queue",
    [
        "unacked",
        "unacked_index",
        "unacked_mutex",
        "_kombu.binding.posts",
        "celeryev",
        "celeryev.task",
        "celery-task-meta-1",
        "celery.pidbox",
        "worker.celery.pidbox",
        "1.reply.celery.pidbox",
        "amq.direct",
    ],
)
def test_a_key_of_celerys_is_no_queue_whatever_the_operator_lists(queue):
    lenient = allowed(queues=f"{queue}, _kombu.*, celery.*, unacked, celeryev.*")
    with pytest.raises(CallbackNotAllowedError, match="is a key that Celery itself uses"):
        lenient.check(CeleryCallback("posts.moderated", queue))


def test_queues_are_those_that_the_operator_names():
    named = allowed(queues="inbox, posts.*")
    for queue in ("inbox", "posts.urgent"):
        named.check(CeleryCallback("posts.moderated", queue))
    for queue in ("posts", "celery", "inbox.x"):
        with pytest.raises(CallbackNotAllowedError, match=f"the queue {queue} is not allowed") as refused:
            named.check(CeleryCallback("posts.moderated", queue))
        assert "MODERATION_CALLBACK_QUEUES" in refused.value.hint


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "https://[::1]/", "http://169.254.169.254/latest"])
def test_an_address_that_is_not_public_is_refused_before_anything_is_promised(url):
    with pytest.raises(CallbackNotAllowedError, match="which is"):
        allowed(hosts="any-public").check(WebhookCallback(url))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"webhook_hosts": "platform.example"}, "there is no secret to sign them with"),
        ({"webhook_hosts": "*"}, "MODERATION_WEBHOOK_HOSTS: '\\*' is neither a host's name"),
        ({"callback_tasks": "*"}, "MODERATION_CALLBACK_TASKS: '\\*' is not a task's name"),
        ({"callback_queues": "*"}, "MODERATION_CALLBACK_QUEUES: '\\*' is not a queue's name"),
        ({"webhook_secrets": "whsec_x", "webhook_hosts": "any-public"}, "secret 1 of 1 is not"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_words(settings, words):
    with pytest.raises(SettingsError, match=words) as error:
        allowed_callbacks(Settings.read(**settings))
    assert error.value.hint


def test_a_default_webhook_has_to_be_allowed():
    assert default_callback(Settings.read()) is None
    assert default_callback(Settings.read(webhook_url="")) is None
    good = {"webhook_hosts": "platform.example", "webhook_secrets": new_secret()}
    assert default_callback(Settings.read(**good, webhook_url=URL.url)) == URL
    for wrong, words in (
        ("ftp://x", "begins with"),
        ("https://other.example/?5ec7e7", "other.example is not"),
    ):
        with pytest.raises(SettingsError, match=f"MODERATION_WEBHOOK_URL: .*{words}") as error:
            default_callback(Settings.read(**good, webhook_url=wrong))
        assert "5ec7e7" not in error.value.message


def test_no_secret_is_in_what_settings_show():
    assert "5ec7e7" not in repr(Settings.read(webhook_secrets="5ec7e7", webhook_url="http://a.b/?5ec7e7"))
