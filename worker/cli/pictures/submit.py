"""`moderate submit`: enqueue pictures for the workers."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from moderation_client import (
    CeleryCallback,
    Client,
    ImageUrl,
    InlineBytes,
    LocalFile,
    Source,
    StoredObject,
    Submission,
    WebhookCallback,
)
from moderation_client.callback import Callback
from moderation_client.messages import MAX_SUBMISSIONS
from moderation_client.submission import MAX_INLINE_BYTES, MAX_REFERENCE_CHARACTERS, new_submission_id

from worker.cli.terminal.console import messages, print_error, progress_bar
from worker.errors import InvalidSubmissionError, PermanentError, UsageError
from worker.images.sources.folder import find_files
from worker.images.sources.reader import read_named_file
from worker.policy_files.intake import require_policy
from worker.printable import printable
from worker.settings import Settings
from worker.wiring.components import allowed_sources, limits_of

EPILOG = """Examples:

[bold]moderate submit var/media/uploads/[/]

[bold]moderate submit https://cdn.example.com/cat.jpg --context '{"post": 42}'[/]

[bold]moderate submit cat.jpg --callback https://platform.example/moderated[/]

[bold]moderate submit --store uploads 2026/07/cat.jpg[/]

[bold]moderate submit cat.jpg --text "look at my new cat"[/]

[bold]moderate submit cat.jpg --id upload-7 --again since-the-edit[/]

[bold]moderate submit ~/Downloads/cat.jpg --inline --reference post-42[/]

Prints the submissions' ids, one a line.
Exit codes: 0 done, 1 a file could not be submitted, 2 wrong usage, 3 the broker is unreachable."""


def submit(  # noqa: PLR0913, PLR0917 - an option each
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH|URL|DIR...", help="Pictures, folders of them, URLs; with --store, keys."
        ),
    ],
    policy: Annotated[
        str | None, typer.Option(help="Policy to judge by; the workers' default if left out.")
    ] = None,
    reference: Annotated[
        str, typer.Option(help="Returned with the decision; the picture's location if left out.")
    ] = "",
    context: Annotated[
        str, typer.Option(metavar="JSON", help="A small JSON object, returned with the decision.")
    ] = "",
    text: Annotated[
        str, typer.Option(metavar="TEXT", help="What accompanies the pictures, such as a caption.")
    ] = "",
    store: Annotated[
        str | None, typer.Option(metavar="NAME", help="The pictures are keys in this object store.")
    ] = None,
    callback: Annotated[
        str | None, typer.Option(metavar="URL", help="Notified of the decision by a signed webhook.")
    ] = None,
    callback_task: Annotated[
        str | None, typer.Option(metavar="NAME", help="A Celery task that is called with the decision, ...")
    ] = None,
    callback_queue: Annotated[str | None, typer.Option(metavar="NAME", help="... and its queue.")] = None,
    submission_id: Annotated[
        str,
        typer.Option("--id", metavar="ID", help="The idempotency key, for one picture; random if left out."),
    ] = "",
    again: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Judge the picture with this --id once more; names the request."),
    ] = None,
    inline: Annotated[
        bool,
        typer.Option(
            "--inline", help="Send the bytes inside the message: files up to 256 KiB, from anywhere."
        ),
    ] = False,
) -> None:
    """Enqueue pictures; workers judge them, [bold]moderate decisions[/] shows what they decided."""
    settings = Settings.read()
    if store and inline:
        raise UsageError("a picture is either in a store or sent --inline")
    if again is not None and not submission_id:
        raise UsageError("--again needs the --id of a decided submission")
    context_fields, notified = _context(context), _callback(callback, callback_task, callback_queue)
    found = list(_sources(pictures, settings, store=store, inline=inline))
    refused = [(name, why) for name, why in found if isinstance(why, InvalidSubmissionError)]
    submissions = [
        Submission(
            submission_id or new_submission_id(),
            source,
            policy,
            reference or printable(name)[-MAX_REFERENCE_CHARACTERS:],
            context=context_fields,
            callback=notified,
            again=again,
            text=text,
        )
        for name, source in found
        if not isinstance(source, InvalidSubmissionError)
    ]
    if submission_id and len(submissions) > 1:
        raise UsageError(f"--id names one picture, these are {len(submissions)}")
    allowed = allowed_sources(settings)
    for submission in submissions:
        allowed.check(submission.source)
    if policy is not None:
        require_policy(settings.policies, policy)
    with Client(settings.broker_url, queue=settings.queue) as client:
        client.ping()
        _enqueue(client, submissions)
    messages().print(f"{len(submissions)} enqueued on {settings.queue}; see them decided: moderate decisions")
    for name, why in refused:
        print_error(
            UsageError(f"{name} is not enqueued: {why.message}", hint="rename it, or send it with --inline")
        )
    if refused:
        raise typer.Exit(1)


def _enqueue(client: Client, submissions: list[Submission]) -> None:
    with progress_bar() as progress:
        bar = progress.add_task("enqueuing", total=len(submissions))
        for group in _groups(submissions):
            if len(group) > 1:
                client.submit_many(group)
            else:
                (one,) = group
                client.submit(
                    one.source,
                    id=one.id,
                    policy=one.policy,
                    reference=one.reference,
                    context=one.context,
                    callback=one.callback,
                    again=one.again,
                    text=one.text,
                )
            typer.echo("\n".join(submission.id for submission in group))
            progress.advance(bar, len(group))


def _groups(submissions: list[Submission]) -> Iterator[list[Submission]]:
    """Yield the submissions of each message; pictures sent inline have a message each."""
    inline = any(isinstance(submission.source, InlineBytes) for submission in submissions)
    size = 1 if inline else MAX_SUBMISSIONS
    for start in range(0, len(submissions), size):
        yield submissions[start : start + size]


def _sources(
    pictures: list[str], settings: Settings, *, store: str | None, inline: bool
) -> Iterator[tuple[str, Source | InvalidSubmissionError]]:
    """Yield each picture's name and its source, or the error; an error does not stop the others."""
    if store is not None:
        yield from ((key, StoredObject(store, key)) for key in pictures)
        return
    for picture in pictures:
        if "://" in picture:
            source = ImageUrl(picture)
            yield str(source), source
    for file in _files(pictures):
        try:
            yield str(file), _file_source(file, settings, inline=inline)
        except InvalidSubmissionError as error:
            yield str(file), error


def _files(pictures: list[str]) -> list[Path]:
    paths = [Path(picture) for picture in pictures if "://" not in picture]
    return find_files(paths) if paths else []


def _file_source(file: Path, settings: Settings, *, inline: bool) -> Source:
    """Return the file's source: its path under the media root, or its bytes."""
    if inline:
        limits = replace(limits_of(settings), max_bytes=MAX_INLINE_BYTES)
        try:
            return InlineBytes(read_named_file(file, limits))
        except PermanentError as error:
            raise UsageError(f"{file}: {error.message}", hint=error.hint) from None
    resolved, root = file.resolve(), settings.media_root.resolve()
    if not resolved.is_relative_to(root):
        raise UsageError(
            f"{file} is not under the media root {settings.media_root}, where workers may read",
            hint="set MODERATION_MEDIA_ROOT to a folder above it, or send small files with --inline",
        )
    return LocalFile(resolved.relative_to(root).as_posix())


def _callback(url: str | None, task: str | None, queue: str | None) -> Callback | None:
    if (task is None) != (queue is None):
        raise UsageError("--callback-task and --callback-queue go together")
    if url is not None and task is not None:
        raise UsageError("--callback and --callback-task exclude each other")
    if task is not None and queue is not None:
        return CeleryCallback(task, queue)
    return None if url is None else WebhookCallback(url)


def _context(text: str) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        context = json.loads(text)
    except (ValueError, RecursionError):
        context = None
    if not isinstance(context, dict):
        raise InvalidSubmissionError("--context is not a JSON object", hint="""for example '{"post": 42}'""")
    return context
