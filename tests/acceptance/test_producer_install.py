"""A producer who runs `pip install moderation-client` can do all that the README shows."""

import ast
import json
import re
import subprocess
from pathlib import Path

import moderation_client
import pytest
import redis
from support.plain_install import build_wheel, plain_environment

ROOT = Path(__file__).parents[2]
#: In the snippets; each test puts its own Redis and queue in their place.
BROKER, QUEUE = "redis://127.0.0.1:6379/0", "moderation"
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.+?)^```$", README, re.MULTILINE | re.DOTALL)
#: `pip install moderation-client` brings Celery, the Redis client, and what these two need.
FORBIDDEN = ["worker", "torch", "numpy", "sqlalchemy", "pydantic", "typer", "rich", "yaml", "PIL", "fastapi"]

EVERY_CALL = """
from moderation_client import *

with Client({broker!r}, queue={queue!r}) as client:
    client.ping()
    client.submit(InlineBytes(b"a picture"), policy="avatars", reference="post-42", context={{"post": 42}})
    client.submit(ImageUrl("https://cdn.example.com/cat.jpg"), callback=WebhookCallback("https://p.example/m"))
    client.submit(StoredObject("uploads", "cat.jpg"), callback=CeleryCallback("posts.moderated", "posts"))
    client.submit_many([Submission(new_submission_id(), LocalFile(f"{{n}}.jpg")) for n in range(64)])
    print(client.depth().waiting, client.address)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("producer")
    return plain_environment(folder / "venv", build_wheel(ROOT / "client", folder))


@pytest.fixture
def run(python, tmp_path):
    """Return what runs the producer's Python, in an empty folder and an empty environment."""

    def run_python(*arguments):
        command = [python, "-I", *map(str, arguments)]
        ran = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
        return ran.stdout

    return run_python


@pytest.fixture
def queue(request):
    """Return the name of a queue that no other test uses."""
    return re.sub(r"\W", "-", request.node.name)


def waiting(redis_url, queue):
    with redis.Redis.from_url(redis_url) as connection:
        return [json.loads(message)["headers"]["task"] for message in connection.lrange(queue, 0, -1)]


def test_nothing_else_is_installed(run):
    found = "import importlib.util as i; print(*(name for name in {} if i.find_spec(name)))"
    assert run("-c", found.format(FORBIDDEN)).split() == []


def test_the_readme_has_its_snippets():
    assert SNIPPETS
    assert [snippet for snippet in SNIPPETS if BROKER not in snippet] == []


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_each_snippet_of_the_readme_enqueues(run, redis_url, queue, number):
    snippet = SNIPPETS[number].replace(BROKER, redis_url)
    # The client's own snippet names no queue.
    snippet = snippet.replace('queue="moderation"', f"queue={queue!r}")
    snippet = snippet.replace(f'Client("{redis_url}")', f'Client("{redis_url}", queue={queue!r})')
    run("-c", snippet)
    assert waiting(redis_url, queue) == ["moderation.check"]


def test_the_snippet_of_the_package_enqueues(run, redis_url, queue):
    text = ast.get_docstring(ast.parse(Path(moderation_client.__file__).read_text()))
    snippet = text[text.index("from moderation_client import") :]
    run("-c", snippet.replace(f'"{BROKER}"', f'"{redis_url}", queue={queue!r}'))
    assert waiting(redis_url, queue) == ["moderation.check"]


def test_every_call_of_the_client_works(run, redis_url, queue):
    said = run("-c", EVERY_CALL.format(broker=redis_url, queue=queue))
    assert said.split() == ["4", redis_url]
    assert waiting(redis_url, queue) == ["moderation.check_many", *["moderation.check"] * 3]


@pytest.mark.parametrize(
    "example", sorted((ROOT / "examples").glob("enqueue_*.py")), ids=lambda one: one.stem
)
@pytest.mark.parametrize("count", [1, 3])
def test_each_example_enqueues(run, redis_url, queue, example, count):
    said = run(example, redis_url, *(f"{n}.jpg" for n in range(count)), "--queue", queue)
    assert len(said.splitlines()) == count
    assert waiting(redis_url, queue)


@pytest.mark.parametrize(
    "module", ["moderation_client", "moderation_client.webhooks", "moderation_client.errors"]
)
def test_each_module_for_platforms_is_imported(run, module):
    run("-c", f"import {module}")


@pytest.mark.parametrize(
    "example", sorted((ROOT / "examples").glob("receive_*.py")), ids=lambda one: one.stem
)
def test_each_receiver_finds_its_packages(run, example):
    """They run until stopped: that they work is in tests/integration/notifications."""
    imports = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(example.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    run("-c", "\n".join([*imports, "import kombu.transport.redis"]))


def test_a_platform_may_have_a_module_named_worker(python, tmp_path, redis_url, queue):
    (tmp_path / "worker.py").write_text("NAME = 'of the platform'\n")
    script = tmp_path / "enqueue.py"
    script.write_text(
        "import worker\nfrom moderation_client import Client, LocalFile\n"
        f"with Client({redis_url!r}, queue={queue!r}) as client:\n    client.submit(LocalFile('cat.jpg'))\n"
        "print(worker.NAME)\n"
    )
    ran = subprocess.run([python, script], cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("of the platform\n", "")
    assert waiting(redis_url, queue) == ["moderation.check"]


def test_every_error_to_catch_is_one_of_the_package(run):
    said = run(
        "-c",
        "from moderation_client import *\n"
        "for broker, path in (('amqp', 'a'), ('redis://127.0.0.1:1/0', ''), ('redis://127.0.0.1:1/0', 'a')):\n"
        "    try:\n"
        "        with Client(broker) as client:\n"
        "            client.submit(LocalFile(path))\n"
        "    except ModerationError as error:\n"
        "        print(type(error).__name__)\n",
    )
    assert said.split() == ["SettingsError", "InvalidSubmissionError", "BrokerUnavailableError"]
