"""The policies in force: read from a folder, and read again whenever a file is saved."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Final

from worker.concurrency.periodic import run_periodically
from worker.domain.moderation.scoring import PhraseVectors, Scorer
from worker.domain.policies.policy import Policy
from worker.domain.policies.policy_state import PolicyState
from worker.domain.policies.stored_policy import StoredPolicy
from worker.errors import InvalidPolicyError, PermanentError, SettingsError, UnknownPolicyError
from worker.policy_files.parser import MAX_FILE_BYTES, read_policy
from worker.policy_files.stored import parse_stored
from worker.policy_files.yaml_text.folder import policy_files, strays, twin_problem
from worker.policy_files.yaml_text.problems import quote

log = logging.getLogger(__name__)

#: A file that was just saved is looked at again after this pause: half a file can be a valid policy too.
SETTLE_SECONDS: Final = 0.1
#: A file that was refused is tried again after this, even if nobody saved it.
RETRY_SECONDS: Final = 10.0

#: Makes a policy ready to be put in force: its vectors, or InvalidPolicyError to refuse it. Given are the
#: policy, its file and the file's text.
Prepare = Callable[[Policy, Path, str], PhraseVectors]
#: The latest good version of the policy of this name, if one is known.
LastGood = Callable[[str], StoredPolicy | None]


def none_known(_name: str) -> None:
    """Know no earlier version: a `LastGood` for where nothing is remembered."""


@dataclass(frozen=True, eq=False)
class LivePolicy:
    """A version of a policy that is in force: what a job judges by, from its beginning to its end."""

    policy: Policy
    vectors: PhraseVectors
    #: The file as it was.
    text: str
    #: Since when this version is in force here; UTC.
    loaded_at: datetime

    @cached_property
    def score(self) -> Scorer:
        """What scores pictures by it."""
        return Scorer(self.policy, self.vectors)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the latest version of a file is not in force, and since when; UTC."""

    why: str
    at: datetime


class PolicyLibrary:
    """The policies of a folder by name; `current` may be called from any thread and never waits.

    A saved file is in force after the next `refresh`. One that has problems is refused: the last good
    version stays in force, until the file is right again, across a restart too. So it does when the file
    disappears. A shadow is in force beside the others and decides nothing.
    """

    def __init__(
        self, folder: Path, prepare: Prepare, last_good: LastGood = none_known, *, default: str = ""
    ) -> None:
        """Follow `folder`; the policy called `default` decides for all that name none, and is no shadow."""
        self._folder = folder
        self._prepare = prepare
        self._last_good = last_good
        self._default = default
        # Replaced, never changed, so that readers need no lock.
        self._live: Mapping[str, LivePolicy] = {}
        self._refusals: Mapping[Path, Refusal] = {}
        #: What was in each file when it was last taken or refused.
        self._seen: dict[Path, bytes] = {}
        self._tried_at: dict[Path, float] = {}
        self._refreshing = threading.Lock()
        #: What was said to be no policy although it looks like one.
        self._strays: Mapping[Path, str] = {}

    @property
    def names(self) -> list[str]:
        """The names of the policies that decide, sorted."""
        return [live.policy.name for live in self.in_force if not live.policy.shadow]

    @property
    def shadows(self) -> tuple[LivePolicy, ...]:
        """The shadows, by name."""
        return tuple(live for live in self.in_force if live.policy.shadow)

    @property
    def in_force(self) -> tuple[LivePolicy, ...]:
        """Every version in force, shadows too, by name."""
        return tuple(live for _, live in sorted(self._live.items()))

    @property
    def refusals(self) -> Mapping[Path, str]:
        """The files whose latest version was refused, with what is wrong with it."""
        return {file: refusal.why for file, refusal in self._refusals.items()}

    @property
    def states(self) -> tuple[PolicyState, ...]:
        """What is in force and what is refused now, by the policies' names."""
        live, refused = self._live, self._refused_by_name()
        return tuple(
            _state(name, live.get(name), refused.get(name, [])) for name in sorted(live.keys() | refused)
        )

    def current(self, name: str) -> LivePolicy:
        """Return the version that decides now; UnknownPolicyError where there is none, or a shadow only."""
        live = self._live.get(name)
        if live is None:
            raise UnknownPolicyError(
                f"no policy {quote(name)} is in force; there are: {', '.join(self.names)}",
                hint=self._hint(name),
            )
        if live.policy.shadow:
            raise UnknownPolicyError(
                f"the policy {quote(name)} is a shadow, which decides nothing; "
                f"there are: {', '.join(self.names)}",
                hint="it decides once its file no longer says `shadow: true`",
            )
        return live

    def load(self) -> None:
        """Read every file of the folder; for one that is refused, the last good version stands in.

        Where none is known, the policy is not in force and the others are. Nothing is without the default
        policy, or, where there is no default, without any of them: raises InvalidPolicyError with all
        problems of all files. SettingsError where there are no files.
        """
        self._look_for_strays()
        refused: dict[Path, PermanentError] = {}
        taken = self._prepared_all(self._read_all(refused), refused)
        recovered = (self._recovered(file) for file in refused)
        self._live = {live.policy.name: live for live in [*recovered, *taken] if live}
        if any(self._is_needed(file) and file.stem not in self._live for file in refused):
            self._live = {}
            errors = list(refused.values())
            raise errors[0] if len(errors) == 1 else InvalidPolicyError("\n".join(e.message for e in errors))
        for file, error in refused.items():
            self._refuse(file, error.message)

    def refresh(self) -> None:
        """Look at the folder once: take what was saved, refuse what has problems, miss what is gone."""
        with self._refreshing:
            files = policy_files(self._folder)
            self._look_for_strays()
            self._miss(set(self._seen).union(self._refusals).difference(files))
            for file in files:
                if twin := twin_problem(file):
                    self._seen.pop(file, None)
                    self._refuse(file, twin)
                else:
                    self._look_at(file)

    def watching(self, seconds: float) -> AbstractContextManager[None]:
        """Refresh every `seconds` in a thread of its own for as long as the context lasts."""
        return run_periodically(self.refresh, seconds, name=f"looking at the policy folder {self._folder}")

    def _look_for_strays(self) -> None:
        """Log each file once that looks like a policy and is not read as one."""
        found = strays(self._folder)
        for file in found.keys() - self._strays.keys():
            log.warning("%s is not read as a policy: %s", file, found[file])
        self._strays = found

    def _look_at(self, file: Path) -> None:
        """Take or refuse what is in the file, if it is new."""
        content = _content(file)
        if content is None or (content == self._seen.get(file) and not self._may_have_passed(file)):
            return
        time.sleep(SETTLE_SECONDS)
        if _content(file) != content:
            return
        # Noted only where another look would find the same: a failure that may pass is tried again.
        self._seen.pop(file, None)
        self._tried_at[file] = time.monotonic()
        try:
            self._take(file, self._prepared(file, *read_policy(file)))
            self._seen[file] = content
        except PermanentError as error:
            self._refuse(file, error.message)
            self._seen[file] = content
        except Exception as error:  # noqa: BLE001 - whatever preparing runs into, the last good version stays
            self._refuse(file, f"{file}: it could not be prepared: {error!r}")

    def _may_have_passed(self, file: Path) -> bool:
        """Whether to try a refused file again as it is: a test's picture may have been put there since."""
        return file in self._refusals and time.monotonic() - self._tried_at.get(file, 0) >= RETRY_SECONDS

    def _take(self, file: Path, live: LivePolicy) -> None:
        before = self._live.get(live.policy.name)
        if before and _is_same_version(before, live):
            live = replace(live, loaded_at=before.loaded_at)
        self._live = {**self._live, live.policy.name: live}
        self._refusals = {path: why for path, why in self._refusals.items() if path != file}
        log.info("policy %s: version %s is in force", live.policy.name, live.policy.digest[:12])

    def _refuse(self, file: Path, why: str) -> None:
        if self.refusals.get(file) == why:
            return
        self._refusals = {**self._refusals, file: Refusal(why, datetime.now(UTC))}
        stays = "the last good version stays in force" if file.stem in self._live else "it is not in force"
        log.error("policy file %s refused, %s:\n%s", file, stays, why)

    def _miss(self, missing: set[Path]) -> None:
        """Forget a file that is gone, but not its policy: editors save by taking a file away first."""
        for file in sorted(missing):
            self._seen.pop(file, None)
            stays = "; its last version stays in force until a restart" if file.stem in self._live else ""
            log.warning("policy file %s is gone%s", file, stays)
        self._refusals = {path: why for path, why in self._refusals.items() if path not in missing}

    def _read_all(self, refused: dict[Path, PermanentError]) -> list[tuple[Path, Policy, str]]:
        """Return what can be read of the folder's files; what is wrong with the others goes to `refused`."""
        read = []
        for file in self._files_or_error():
            # Noted before it is read: what is saved in between is a change for the next refresh.
            self._seen[file] = _content(file) or b""
            if twin := twin_problem(file):
                refused[file] = InvalidPolicyError(twin)
                continue
            try:
                read.append((file, *read_policy(file)))
            except InvalidPolicyError as error:
                refused[file] = error
        return read

    def _prepared_all(
        self, read: list[tuple[Path, Policy, str]], refused: dict[Path, PermanentError]
    ) -> list[LivePolicy]:
        """Return what passes; why the others do not goes to `refused`."""
        prepared: list[LivePolicy] = []
        # Nobody should wait for the vectors of some to learn that another cannot be read.
        if any(self._is_needed(file) and self._last_good(file.stem) is None for file in refused):
            return prepared
        for file, policy, text in read:
            try:
                prepared.append(self._prepared(file, policy, text))
            except (InvalidPolicyError, SettingsError) as error:
                refused[file] = error
        return prepared

    def _is_needed(self, file: Path) -> bool:
        """Whether nothing can be decided without the policy of this file."""
        return self._default in {"", file.stem}

    def _prepared(self, file: Path, policy: Policy, text: str) -> LivePolicy:
        if policy.shadow and policy.name == self._default:
            raise SettingsError(
                f"{file}: `shadow: true`, but the policy decides for all submissions that name none",
                hint="remove that line, or let MODERATION_POLICY name another policy",
            )
        return LivePolicy(policy, self._prepare(policy, file, text), text, datetime.now(UTC))

    def _recovered(self, file: Path) -> LivePolicy | None:
        """Return the last good version of the policy of this file, if one is known and still good.

        Its tests have been passed once, and their pictures may be gone.
        """
        stored = self._last_good(file.stem)
        if stored is None:
            return None
        try:
            policy = replace(parse_stored(stored, file), tests=())
            return self._prepared(file, policy, stored.text)
        except (InvalidPolicyError, SettingsError) as error:
            log.warning("policy %s: its last good version is none here:\n%s", file.stem, error.message)
            return None

    def _refused_by_name(self) -> dict[str, list[Refusal]]:
        refused: dict[str, list[Refusal]] = {}
        for file, refusal in sorted(self._refusals.items()):
            refused.setdefault(file.stem, []).append(refusal)
        return refused

    def _files_or_error(self) -> list[Path]:
        hint = "MODERATION_POLICIES names the folder of the policy files"
        if not self._folder.is_dir():
            raise SettingsError(f"there is no policy folder {self._folder}", hint=hint)
        if not (files := policy_files(self._folder)):
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


def _state(name: str, live: LivePolicy | None, refusals: list[Refusal]) -> PolicyState:
    return PolicyState(
        policy=name,
        digest=live.policy.digest if live else None,
        shadow=live.policy.shadow if live else False,
        in_force_since=live.loaded_at if live else None,
        refused_at=max((refusal.at for refusal in refusals), default=None),
        refusal="\n".join(refusal.why for refusal in refusals) or None,
    )


def _is_same_version(one: LivePolicy, other: LivePolicy) -> bool:
    """Whether the two differ in nothing but comments, layout and tests."""
    return (one.policy.digest, one.policy.shadow) == (other.policy.digest, other.policy.shadow)


def _content(file: Path) -> bytes | None:
    """Return what is in the file, which no clock or inode can hide; None where there is no such file."""
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError:
        return b""
