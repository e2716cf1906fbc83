"""Parses the text of a policy file into a policy, or into a list of all its problems."""

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from worker.domain.policies.policy import (
    DEFAULT_QUEUE,
    Action,
    Captions,
    Label,
    Policy,
    PolicyTest,
    Reviewing,
)
from worker.errors import UndecodableKind
from worker.policy_files.rules.later_rules import check_later_rules
from worker.policy_files.rules.rules import check_rules
from worker.policy_files.rules.rules_of_tests import check_tests
from worker.policy_files.rules.schema import (
    LabelEntry,
    PolicyEntry,
    PolicyTestEntry,
    PrecisionEntry,
    RecallEntry,
    ReviewsEntry,
    TextEntry,
    UndecodableEntry,
)
from worker.policy_files.rules.schema_errors import explain_schema_errors
from worker.policy_files.text.phrase_text import Spelling, normalised, single_spaced
from worker.policy_files.yaml_text.document import read_document
from worker.policy_files.yaml_text.invisible import check_invisible, refuse_odd_spaces
from worker.policy_files.yaml_text.problems import Places, Problems

MAX_FILE_BYTES: Final = 1024 * 1024
#: The threshold of a label whose target has not been learned yet.
_DEFAULT_REVIEW: Final = 0.5


def parse_policy(
    text: str, file: Path | str, *, folder: Path | None = None, was_in_force: bool = False
) -> Policy:
    """Return the policy that `text` describes; `file` is its path, whose stem must be the policy's name.

    The pictures of its tests must be in `folder`; without a folder, they are not checked. If the text
    `was_in_force`, rules that were added later do not apply, and its phrases are single-spaced but not in
    NFKC; `stored.py` decides this for each text of the database. Raises InvalidPolicyError, whose message
    lists every problem with line, column and hint.
    """
    problems = Problems(str(file), text)
    if not was_in_force and refuse_odd_spaces(text, problems):
        # YAML's errors about the lines around them would not help.
        problems.raise_if_any()
    document = read_document(text, problems)
    spelling = single_spaced if was_in_force else normalised
    if document is not None:
        check_rules(document, Path(file), spelling, problems)
        check_tests(document, folder, problems)
        if not was_in_force:
            check_invisible(document, text, problems)
            check_later_rules(document, text, problems)
        try:
            entry = PolicyEntry.model_validate(document.data)
        except ValidationError as error:
            explain_schema_errors(error.errors(include_url=False, include_input=False), document, problems)
    problems.raise_if_any()
    return _policy(entry, spelling)


def read_policy(path: Path, *, with_pictures: bool = True) -> tuple[Policy, str]:
    """Return the policy of a file, and its text; InvalidPolicyError as in `parse_policy`.

    The pictures of its tests must be in the file's folder, unless `with_pictures` is False.
    """
    text = _decode(_read(path), path)
    return parse_policy(text, path, folder=path.parent if with_pictures else None), text


def _read(path: Path) -> bytes:
    problems = Problems(str(path))
    data = b""
    _refuse_link_out(path, problems)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        problems.add_for_file(
            "there is no such file", "check the spelling, and the folder the command runs in"
        )
    except IsADirectoryError:
        problems.add_for_file("this is a folder", f"name the files in it: {path}/*.yaml")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problems.add_for_file(f"the file cannot be read: {reason}", "check its permissions")
    if len(data) > MAX_FILE_BYTES:
        problems.add_for_file(f"the file is too large: a policy has at most {MAX_FILE_BYTES:,} bytes")
    problems.raise_if_any()
    return data


def _refuse_link_out(path: Path, problems: Problems) -> None:
    """Refuse a symlink out of its folder: error messages would quote the file it points to.

    Symlinks within the folder are allowed: a mounted ConfigMap consists of them.
    """
    try:
        leads_out = path.is_symlink() and not path.resolve().is_relative_to(path.parent.resolve())
    except (OSError, RuntimeError):
        # A symlink to itself.
        leads_out = True
    if leads_out:
        problems.add_for_file(
            "the file is a link that leads out of its folder", "put the file itself in its place"
        )
        problems.raise_if_any()


def _decode(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        text = data.decode("utf-8", errors="replace")
        problems = Problems(str(path), text)
        place = Places(text).of(len(data[: error.start].decode("utf-8")))
        problems.add(place, "the file is not encoded in UTF-8", 'save it as "UTF-8" in the editor')
        problems.raise_if_any()
        raise


def _policy(entry: PolicyEntry, spelling: Spelling) -> Policy:
    default, kinds = _on_undecodable(entry.on_undecodable)
    return Policy(
        name=entry.name,
        description=entry.description.strip(),
        templates=_unique(entry.templates, spelling),
        background=_unique(entry.background, spelling),
        labels=tuple(_label(name, label, spelling) for name, label in entry.labels.items()),
        captions=_captions(entry.text, spelling),
        on_undecodable=default,
        on_undecodable_kinds=kinds,
        on_error=entry.on_error,
        on_partly_seen=entry.on_partly_seen,
        automatic_blocks_per_hour=entry.limits.automatic_blocks_per_hour,
        share_of_allowed=entry.audit.share_of_allowed,
        reviewing=_reviewing(entry.reviews),
        shadow=entry.shadow,
        tests=tuple(_test(test) for test in entry.tests),
    )


def _label(name: str, entry: LabelEntry, spelling: Spelling) -> Label:
    return Label(
        name=name,
        description=entry.description.strip(),
        prompts=_unique(entry.prompts, spelling),
        lookalikes=_unique(entry.lookalikes, spelling),
        words=_unique(entry.words, spelling),
        review=_DEFAULT_REVIEW if isinstance(entry.review, RecallEntry) else entry.review,
        block=None if isinstance(entry.block, PrecisionEntry) else entry.block,
        review_recall=entry.review.recall if isinstance(entry.review, RecallEntry) else None,
        block_precision=entry.block.precision if isinstance(entry.block, PrecisionEntry) else None,
        examples=tuple(dict.fromkeys(entry.examples)),
        severity=entry.severity,
        exclude_from_automatic_block=entry.exclude_from_automatic_block,
        reviewing=Reviewing(
            entry.queue, entry.review_within_minutes, entry.needs_reason, entry.second_review
        ),
    )


def _captions(entry: bool | TextEntry, spelling: Spelling) -> Captions | None:
    if isinstance(entry, bool):
        return Captions() if entry else None
    return Captions(_unique(entry.background, spelling))


def _reviewing(entry: ReviewsEntry) -> Reviewing:
    """Return how the policy's labels are reviewed; an explicit default is the same as none."""
    return Reviewing(
        queue=None if entry.queue == DEFAULT_QUEUE else entry.queue,
        within_minutes=entry.review_within_minutes,
        needs_reason=entry.needs_reason or None,
        second_share=entry.second_review or None,
    )


def _on_undecodable(
    entry: Action | UndecodableEntry,
) -> tuple[Action, tuple[tuple[UndecodableKind, Action], ...]]:
    """Return the default action, and the actions of the kinds that differ from it."""
    if isinstance(entry, Action):
        return entry, ()
    actions = {kind: getattr(entry, kind) for kind in sorted(UndecodableKind)}
    others = ((kind, action) for kind, action in actions.items() if action not in {None, entry.default})
    return entry.default, tuple(others)


def _test(entry: PolicyTestEntry) -> PolicyTest:
    labels = entry.expect.labels
    return PolicyTest(entry.picture, entry.expect.action, None if labels is None else frozenset(labels))


def _unique(phrases: list[str], spelling: Spelling) -> tuple[str, ...]:
    """Return the phrases without repeats, in one spelling."""
    return tuple(dict.fromkeys(map(spelling, phrases)))
