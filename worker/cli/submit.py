"""`moderate submit`: enqueue pictures for the workers."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.console import messages, track
from worker.client import Client, InlineBytes, LocalFile, Source
from worker.domain.submission import MAX_INLINE_BYTES
from worker.errors import PermanentError, UsageError
from worker.images.folder import find_files
from worker.images.reader import read_named_file
from worker.policy_files.intake import require_policy
from worker.settings import Settings
from worker.wiring import limits_of

EPILOG = """Examples:

[bold]moderate submit var/media/uploads/[/]

[bold]moderate submit ~/Downloads/cat.jpg --inline --reference post-42[/]

Prints the submissions' ids, one a line.
Exit codes: 0 done, 2 wrong usage, 3 the broker is unreachable."""


def submit(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures, or folders of pictures.")],
    policy: Annotated[
        str | None, typer.Option(help="Policy to judge by; the workers' default if left out.")
    ] = None,
    reference: Annotated[
        str, typer.Option(help="What to find beside the decision; the file's path if left out.")
    ] = "",
    inline: Annotated[
        bool,
        typer.Option(
            "--inline", help="Send the bytes inside the message: files up to 256 KiB, from anywhere."
        ),
    ] = False,
) -> None:
    """Enqueue pictures; workers judge them, [bold]moderate decisions[/] shows what they decided."""
    settings = Settings.read()
    if policy is not None:
        require_policy(settings.policies, policy)
    files = find_files(paths)
    sources = [_source(file, settings, inline=inline) for file in files]
    with Client(settings.broker_url, queue=settings.queue) as client:
        client.ping()
        pairs = track(list(zip(files, sources, strict=True)), total=len(files), what="enqueuing")
        for file, source in pairs:
            typer.echo(client.submit(source, policy=policy, reference=reference or str(file)[-512:]))
    messages().print(f"{len(files)} enqueued on {settings.queue}; see them decided: moderate decisions")


def _source(file: Path, settings: Settings, *, inline: bool) -> Source:
    """Return where the workers find the file: by its path under the media root, or in the message."""
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
