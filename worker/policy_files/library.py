"""The policies in force: loaded from a folder, and reloaded when a file is saved."""

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
from worker.domain.moderation.caption import CaptionRule
from worker.domain.moderation.scoring import Adjust, PhraseVectors, Scorer
from worker.domain.policies.policy import Policy
from worker.domain.policies.policy_state import PolicyState
from worker.domain.policies.stored_policy import StoredPolicy
from worker.errors import InvalidPolicyError, PermanentError, SettingsError, UnknownPolicyError
from worker.policy_files.parser import MAX_FILE_BYTES, read_policy
from worker.policy_files.stored import parse_stored
from worker.policy_files.yaml_text.folder import policy_files, strays, twin_problem
from worker.policy_files.yaml_text.problems import quote

log = logging.getLogger(__name__)

#: A changed file is read again after this pause: a half-written file can be a valid policy too.
SETTLE_SECONDS: Final = 0.1
#: A refused file is retried after this, even if it was not saved again.
RETRY_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A policy with all that is needed to score by it."""

    #: With what it learned.
    policy: Policy
    vectors: PhraseVectors
    #: How what it learned changes logits; None if it learned nothing.
    adjust: Adjust | None = None


#: Prepares a policy, given its file and the file's text; raises InvalidPolicyError to refuse it.
Prepare = Callable[[Policy, Path, str], Prepared]
#: Returns the digest of what the policy of this name should have learned; empty for nothing.
LearnedNow = Callable[[str], str]
#: Returns the latest good version of the policy of this name, or None if it is not known.
LastGood = Callable[[str], StoredPolicy | None]


def none_known(_name: str) -> None:
    """Return None: a `LastGood` without a memory of earlier versions."""


def nothing_learned(_name: str) -> str:
    """Return "": a `LearnedNow` without a database."""
    return ""


@dataclass(frozen=True, eq=False)
class LivePolicy:
    """A version of a policy in force; a job uses one version from beginning to end."""

    policy: Policy
    vectors: PhraseVectors
    #: The file's text.
    text: str
    #: Since when this version is in force in this process; UTC.
    loaded_at: datetime
    #: How what it learned changes logits; None if it learned nothing.
    adjust: Adjust | None = None

    @cached_property
    def score(self) -> Scorer:
        """The scorer of this version."""
        return Scorer(self.policy, self.vectors, self.adjust)

    @cached_property
    def captions(self) -> CaptionRule | None:
        """What texts add under this version; None if it reads no texts."""
        return None if self.policy.captions is None else CaptionRule(self.policy, self.vectors)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the latest version of a file was refused, and when; UTC."""

    why: str
    at: datetime


class PolicyLibrary:
    """The policies of a folder by name; `current` may be called from any thread and never blocks.

    A saved file is in force after the next `refresh`. A file with problems is refused: the last good version
    stays in force until the file is corrected, even across a restart. If a file is deleted, its last version
    also stays in force. A shadow is in force beside the others and decides nothing.
    """

    def __init__(
        self,
        folder: Path,
        prepare: Prepare,
        last_good: LastGood = none_known,
        learned_now: LearnedNow = nothing_learned,
        *,
        default: str = "",
    ) -> None:
        """Use `folder`; `default` is the policy of submissions that name none, and must not be a shadow.

        If `learned_now` changes for a policy, it is prepared again.
        """
        self._folder, self._learned_now = folder, learned_now
        self._prepare = prepare
        self._last_good = last_good
        self._default = default
        # Replaced, never mutated, so that readers need no lock.
        self._live: Mapping[str, LivePolicy] = {}
        self._refusals: Mapping[Path, Refusal] = {}
        #: The content of each file when it was last put in force or refused.
        self._seen: dict[Path, bytes] = {}
        self._tried_at: dict[Path, float] = {}
        self._refreshing = threading.Lock()
        #: Files already reported as looking like a policy without being read as one.
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
        """The files whose latest version was refused, with its problems."""
        return {file: refusal.why for file, refusal in self._refusals.items()}

    @property
    def states(self) -> tuple[PolicyState, ...]:
        """The state of every policy, in force or refused, by name."""
        live, refused = self._live, self._refused_by_name()
        return tuple(
            _state(name, live.get(name), refused.get(name, [])) for name in sorted(live.keys() | refused)
        )

    def current(self, name: str) -> LivePolicy:
        """Return the version in force; UnknownPolicyError if it does not exist or is a shadow."""
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
        """Load every file of the folder; if one is refused, load its policy's last good version instead.

        If no good version is known, the policy is not in force, but the others are. The default policy is
        required, or all of them if there is no default: if a required policy cannot be loaded, raises
        InvalidPolicyError with all problems of all files. SettingsError if there are no files.
        """
        self._warn_of_strays()
        refused: dict[Path, PermanentError] = {}
        prepared = self._prepared_all(self._read_all(refused), refused)
        recovered = (self._recovered(file) for file in refused)
        self._live = {live.policy.name: live for live in [*recovered, *prepared] if live}
        if any(self._is_needed(file) and file.stem not in self._live for file in refused):
            self._live = {}
            errors = list(refused.values())
            raise errors[0] if len(errors) == 1 else InvalidPolicyError("\n".join(e.message for e in errors))
        for file, error in refused.items():
            self._refuse(file, error.message)

    def refresh(self) -> None:
        """Reload the folder once: put saved files in force, refuse broken ones, forget deleted ones."""
        with self._refreshing:
            files = policy_files(self._folder)
            self._warn_of_strays()
            self._forget(set(self._seen).union(self._refusals).difference(files))
            for file in files:
                if twin := twin_problem(file):
                    self._seen.pop(file, None)
                    self._refuse(file, twin)
                else:
                    self._reload(file)

    def watching(self, seconds: float) -> AbstractContextManager[None]:
        """Refresh every `seconds` in a background thread while the context lasts."""
        return run_periodically(self.refresh, seconds, name=f"watching the policy folder {self._folder}")

    def _warn_of_strays(self) -> None:
        """Warn once of each file that looks like a policy but is not read as one."""
        found = strays(self._folder)
        for file in found.keys() - self._strays.keys():
            log.warning("%s is not read as a policy: %s", file, found[file])
        self._strays = found

    def _reload(self, file: Path) -> None:
        """Put the file's content in force, or refuse it, if it has changed."""
        content = _content(file)
        is_same = content == self._seen.get(file) and not self._has_learned(file)
        if content is None or (is_same and not self._is_due_for_retry(file)):
            return
        time.sleep(SETTLE_SECONDS)
        if _content(file) != content:
            return
        # Remembered only if a second try would have the same result: a transient failure is retried.
        self._seen.pop(file, None)
        self._tried_at[file] = time.monotonic()
        try:
            self._put_in_force(file, self._prepared(file, *read_policy(file)))
            self._seen[file] = content
        except PermanentError as error:
            self._refuse(file, error.message)
            self._seen[file] = content
        except Exception as error:  # noqa: BLE001 - whatever fails here, the last good version stays in force
            self._refuse(file, f"{file}: it could not be prepared: {error!r}")

    def _has_learned(self, file: Path) -> bool:
        """Whether the policy of a file in force should have learned something else; a refused file waits."""
        live = self._live.get(file.stem)
        if live is None or file in self._refusals:
            return False
        return live.policy.learned != self._learned_now(file.stem)

    def _is_due_for_retry(self, file: Path) -> bool:
        """Whether to retry a refused file that has not changed: a missing test picture may be there now."""
        return file in self._refusals and time.monotonic() - self._tried_at.get(file, 0) >= RETRY_SECONDS

    def _put_in_force(self, file: Path, live: LivePolicy) -> None:
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

    def _forget(self, missing: set[Path]) -> None:
        """Forget deleted files, but not their policies: some editors save by deleting the file first."""
        for file in sorted(missing):
            self._seen.pop(file, None)
            stays = "; its last version stays in force until a restart" if file.stem in self._live else ""
            log.warning("policy file %s is gone%s", file, stays)
        self._refusals = {path: why for path, why in self._refusals.items() if path not in missing}

    def _read_all(self, refused: dict[Path, PermanentError]) -> list[tuple[Path, Policy, str]]:
        """Parse the folder's files; add the errors of invalid ones to `refused`."""
        read = []
        for file in self._files_or_error():
            # Before it is parsed: a save in between is then a change for the next refresh.
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
        """Prepare the parsed policies; add the errors of those that fail to `refused`."""
        prepared: list[LivePolicy] = []
        # If a required policy is missing anyway, fail before the vectors are computed.
        if any(self._is_needed(file) and self._last_good(file.stem) is None for file in refused):
            return prepared
        for file, policy, text in read:
            try:
                prepared.append(self._prepared(file, policy, text))
            except (InvalidPolicyError, SettingsError) as error:
                refused[file] = error
        return prepared

    def _is_needed(self, file: Path) -> bool:
        """Whether the policy of this file is required: the default, or any if there is no default."""
        return self._default in {"", file.stem}

    def _prepared(self, file: Path, policy: Policy, text: str) -> LivePolicy:
        if policy.shadow and policy.name == self._default:
            raise SettingsError(
                f"{file}: `shadow: true`, but the policy decides for all submissions that name none",
                hint="remove that line, or let MODERATION_POLICY name another policy",
            )
        found = self._prepare(policy, file, text)
        return LivePolicy(found.policy, found.vectors, text, datetime.now(UTC), found.adjust)

    def _recovered(self, file: Path) -> LivePolicy | None:
        """Return the last good version of the policy of this file, if one is known and still good.

        Its tests are skipped: they passed once, and their pictures may be gone.
        """
        stored = self._last_good(file.stem)
        if stored is None:
            return None
        try:
            policy = replace(parse_stored(stored, file), tests=())
            return self._prepared(file, policy, stored.text)
        except (InvalidPolicyError, SettingsError) as error:
            log.warning("policy %s: its last good version cannot be used here:\n%s", file.stem, error.message)
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
    """Whether the two differ at most in comments, layout and tests."""
    return (one.policy.digest, one.policy.shadow) == (other.policy.digest, other.policy.shadow)


def _content(file: Path) -> bytes | None:
    """Return the file's content, a surer sign of a change than times or inodes; None if it does not exist."""
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError:
        return b""
