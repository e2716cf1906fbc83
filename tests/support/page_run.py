"""Runs the snippets of a page in a folder, as a reader who follows it would."""

import configparser
import json
import os
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml
from support.snippets import Snippet

from worker import resources

SECONDS = 180
STOP_SECONDS = 30
#: Where pages expect Redis; a test puts its own there.
USUAL_REDIS = "redis://127.0.0.1:6379/0"
#: What a fragment that shows only labels leaves out.
POLICY = {"name": "fragment", "background": ["an ordinary picture"]}


def _yaml(text: str) -> list[object]:
    return list(yaml.safe_load_all(text))


def _ini(text: str) -> None:
    # A unit of systemd may repeat a key.
    configparser.ConfigParser(strict=False, interpolation=None).read_string(text)


PARSED: dict[str, Callable[[str], object]] = {
    "yaml": _yaml,
    "json": json.loads,
    "toml": tomllib.loads,
    "ini": _ini,
}
SHOWN = {"text", "console"}


@dataclass
class PageRun:
    """The folder and the processes of one page."""

    folder: Path
    environment: Mapping[str, str]
    #: In force until a snippet makes a folder `policies`, which is the default of the setting.
    policies: Path
    #: The first process of each session that a snippet started; a session may outlive it.
    _sessions: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __call__(self, snippet: Snippet) -> None:
        """Do what the snippet and its directive say; PageError if it fails."""
        if snippet.not_run:
            return
        broker_url = self.environment.get("MODERATION_BROKER_URL", USUAL_REDIS)
        snippet = replace(snippet, text=snippet.text.replace(USUAL_REDIS, broker_url))
        if snippet.file:
            self._write(snippet)
        elif snippet.language == "sh":
            self._start(snippet, ["bash", "-ec", snippet.text])
        elif snippet.language == "python":
            self._start(snippet, ["python", "-c", snippet.text])
        elif snippet.language not in PARSED | dict.fromkeys(SHOWN):
            raise snippet.fails(f"nothing here can run {snippet.language}: say why it is not run")
        self._parse(snippet)

    def stop(self) -> None:
        """Stop all that the snippets left running."""
        for process in self._sessions:
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while any(map(_is_alive, self._sessions)) and time.monotonic() < deadline:
            time.sleep(0.05)
        for process in self._sessions:
            _signal(process, signal.SIGKILL)
            process.wait()

    def _environment(self) -> dict[str, str]:
        has_policies = (self.folder / "policies").is_dir()
        return {**self.environment, **({} if has_policies else {"MODERATION_POLICIES": str(self.policies)})}

    def _write(self, snippet: Snippet) -> None:
        file = self.folder / snippet.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(snippet.text, encoding="utf-8")
        if snippet.language == "python":
            try:
                compile(snippet.text, snippet.file, "exec")
            except SyntaxError as error:
                raise snippet.fails(f"{snippet.file} is not Python: {error}") from None

    def _parse(self, snippet: Snippet) -> None:
        """Parse what is data; a policy is also checked as its author would."""
        try:
            documents = PARSED.get(snippet.language, lambda _: None)(snippet.text)
        except (ValueError, yaml.YAMLError, configparser.Error) as error:
            raise snippet.fails(f"this is not {snippet.language}: {error}") from None
        if snippet.language == "yaml":
            for document in documents:
                if isinstance(document, dict) and "labels" in document:
                    self._check(snippet, POLICY | document)

    def _check(self, snippet: Snippet, policy: Mapping[str, object]) -> None:
        # In a folder of its own: what a page does not write is not there for its readers.
        file = self.folder.parent / "checked" / f"{policy['name']}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(dict(policy)), encoding="utf-8")
        self._start(snippet, ["moderate", "policy", "check", "--no-model", str(file)])

    def _start(self, snippet: Snippet, command: Sequence[str]) -> None:
        log = self.folder.parent / f"line-{snippet.line}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._sessions.append(process)
        if snippet.in_background:
            self._wait_until_ready(snippet, process, log)
            return
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise snippet.fails(f"it still runs after {SECONDS} s\n{_tail(log)}") from None
        if code:
            raise snippet.fails(f"exit code {code}\n{_tail(log)}")

    def _wait_until_ready(self, snippet: Snippet, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + SECONDS
        while snippet.wait_for and snippet.wait_for not in log.read_text(errors="replace"):
            if process.poll() is not None:
                raise snippet.fails(f"it ended with exit code {process.returncode}\n{_tail(log)}")
            if time.monotonic() > deadline:
                raise snippet.fails(f'"{snippet.wait_for}" is not in its output\n{_tail(log)}')
            time.sleep(0.05)


@contextmanager
def page_run(folder: Path, environment: Mapping[str, str]) -> Iterator[PageRun]:
    """Yield a run in an empty folder below `folder`, with the shipped policies; stop its processes afterwards."""
    home = folder / "page"
    home.mkdir()
    run = PageRun(home, environment, resources.folder("policies"))
    try:
        yield run
    finally:
        run.stop()


def _is_alive(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a process of the session is left."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]
