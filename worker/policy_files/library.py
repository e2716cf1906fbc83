"""The policies in force: read from a folder, and read again whenever a file is saved."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from worker.domain.policy import Policy
from worker.domain.scoring import PhraseVectors
from worker.errors import InvalidPolicyError, PermanentError, SettingsError, UnknownPolicyError
from worker.policy_files.parser import MAX_FILE_BYTES, read_policy
from worker.policy_files.problems import Problem, quote, render

log = logging.getLogger(__name__)

SUFFIXES: Final = (".yaml", ".yml")
#: A file that was just saved is looked at again after this pause: half a file can be a valid policy too.
SETTLE_SECONDS: Final = 0.1
#: How long a stopping service waits for a look at the folder that is under way.
STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class LivePolicy:
    """A version of a policy that is in force: what a job judges by, from its beginning to its end."""

    policy: Policy
    vectors: PhraseVectors
    #: The file as it was.
    text: str
    #: UTC.
    loaded_at: datetime


class PolicyLibrary:
    """The policies of a folder by name; `current` may be called from any thread and never waits.

    A saved file is in force after the next `refresh`. One that has problems is refused: the last good
    version stays in force, until the file is right again. So it does when the file disappears.
    """

    def __init__(self, folder: Path, prepare: Callable[[Policy, Path, str], PhraseVectors]) -> None:
        """`prepare` readies a policy, of a file, with a text; InvalidPolicyError refuses it."""
        self._folder = folder
        self._prepare = prepare
        # Replaced, never changed, so that readers need no lock.
        self._live: Mapping[str, LivePolicy] = {}
        self._refusals: Mapping[Path, str] = {}
        #: What was in each file when it was last taken or refused.
        self._seen: dict[Path, bytes] = {}
        self._refreshing = threading.Lock()

    @property
    def names(self) -> list[str]:
        """The names of the policies in force, sorted."""
        return sorted(self._live)

    @property
    def refusals(self) -> Mapping[Path, str]:
        """The files whose latest version was refused, with what is wrong with it."""
        return self._refusals

    def current(self, name: str) -> LivePolicy:
        """Return the version of the policy that is in force now; UnknownPolicyError where there is none."""
        live = self._live.get(name)
        if live is None:
            raise UnknownPolicyError(
                f"no policy {quote(name)} is in force; there are: {', '.join(self.names)}",
                hint=self._hint(name),
            )
        return live

    def load(self) -> None:
        """Read every file of the folder; all or nothing.

        Raises InvalidPolicyError with all problems of all files, and SettingsError where there are none.
        """
        read, problems = [], []
        for file in self._files_or_error():
            # Noted before it is read: what is saved in between is a change for the next refresh.
            self._seen[file] = _content(file) or b""
            try:
                read.append((file, *read_policy(file)))
            except InvalidPolicyError as error:
                problems.append(error.message)
            if twin := _twin_of(file):
                problems.append(_twin_problem(file, twin))
        if problems:
            raise InvalidPolicyError("\n".join(problems))
        self._live = {policy.name: self._prepared(file, policy, text) for file, policy, text in read}

    def refresh(self) -> None:
        """Look at the folder once: take what was saved, refuse what has problems, miss what is gone."""
        with self._refreshing:
            files = _files(self._folder)
            self._miss(set(self._seen).union(self._refusals).difference(files))
            for file in files:
                if twin := _twin_of(file):
                    self._refuse_twin(file, twin)
                else:
                    self._look_at(file)

    @contextmanager
    def watching(self, seconds: float) -> Iterator[None]:
        """Refresh every `seconds` in a thread of its own for as long as the context lasts."""
        stop = threading.Event()
        thread = threading.Thread(target=self._watch, args=(seconds, stop), name="policies", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(STOP_SECONDS)

    def _watch(self, seconds: float, stop: threading.Event) -> None:
        while not stop.wait(seconds):
            try:
                self.refresh()
            except Exception:
                log.exception("the policy folder %s could not be looked at", self._folder)

    def _look_at(self, file: Path) -> None:
        """Take or refuse what is in the file, if it is new."""
        content = _content(file)
        if content is None or content == self._seen.get(file):
            return
        time.sleep(SETTLE_SECONDS)
        if _content(file) != content:
            return
        # Noted only where another look would find the same: a failure that may pass is tried again.
        self._seen.pop(file, None)
        try:
            self._take(file, self._prepared(file, *read_policy(file)))
            self._seen[file] = content
        except PermanentError as error:
            self._refuse(file, error.message)
            self._seen[file] = content
        except Exception as error:  # noqa: BLE001 - whatever embedding runs into, the last good version stays
            self._refuse(file, f"{file}: its phrases could not be embedded: {error!r}")

    def _refuse_twin(self, file: Path, twin: Path) -> None:
        self._seen.pop(file, None)
        self._refuse(file, _twin_problem(file, twin))

    def _take(self, file: Path, live: LivePolicy) -> None:
        self._live = {**self._live, live.policy.name: live}
        self._refusals = {path: why for path, why in self._refusals.items() if path != file}
        log.info("policy %s: version %s is in force", live.policy.name, live.policy.digest[:12])

    def _refuse(self, file: Path, why: str) -> None:
        if self._refusals.get(file) == why:
            return
        self._refusals = {**self._refusals, file: why}
        stays = "the last good version stays in force" if file.stem in self._live else "it is not in force"
        log.error("policy file %s refused, %s:\n%s", file, stays, why)

    def _miss(self, missing: set[Path]) -> None:
        """Forget a file that is gone, but not its policy: editors save by taking a file away first."""
        for file in sorted(missing):
            self._seen.pop(file, None)
            stays = "; its last version stays in force until a restart" if file.stem in self._live else ""
            log.warning("policy file %s is gone%s", file, stays)
        self._refusals = {path: why for path, why in self._refusals.items() if path not in missing}

    def _prepared(self, file: Path, policy: Policy, text: str) -> LivePolicy:
        return LivePolicy(policy, self._prepare(policy, file, text), text, datetime.now(UTC))

    def _files_or_error(self) -> list[Path]:
        hint = "MODERATION_POLICIES names the folder of the policy files"
        if not self._folder.is_dir():
            raise SettingsError(f"there is no policy folder {self._folder}", hint=hint)
        if not (files := _files(self._folder)):
            raise SettingsError(f"there is no policy in {self._folder}: no file *.yaml", hint=hint)
        return files

    def _hint(self, name: str) -> str:
        for file in self._refusals:
            if file.stem == name:
                return f"its file has problems: moderate policy check {file}"
        close = get_close_matches(name, self.names, n=1)
        return (
            f'did you mean "{close[0]}"?' if close else f"a policy is a file of that name in {self._folder}"
        )


def _files(folder: Path) -> list[Path]:
    """Return the policy files directly in `folder`, without the hidden ones that editors leave."""
    found = (path for path in folder.glob("*") if path.suffix in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def _twin_of(file: Path) -> Path | None:
    """Return x.yaml for x.yml where there are both: one name, one policy."""
    twin = file.with_suffix(SUFFIXES[0])
    return twin if file != twin and twin.is_file() else None


def _twin_problem(file: Path, twin: Path) -> str:
    message = f"{twin.name} is the policy of this name already"
    return render(Problem(str(file), 0, 0, message, "remove one of the two files"))


def _content(file: Path) -> bytes | None:
    """Return what is in the file, which no clock or inode can hide; None where there is no such file."""
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError:
        return b""
