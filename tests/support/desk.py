"""A review desk for a single test: items with pictures, reviewers, database and media root."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from moderation_client.messages import source_record
from moderation_client.submission import LocalFile, Source, Submission
from PIL import Image, ImageDraw
from support.decided_submission import add_decided
from support.pictures import animation, encoded
from support.tables import make_tables

from worker.domain.accounts.reviewer import Reviewer, Role
from worker.domain.moderation.decision import decide
from worker.domain.moderation.picture import PictureFacts
from worker.domain.moderation.scoring import LabelScore
from worker.domain.policies.policy import Policy
from worker.domain.reviews.review import ReviewKind, place_in_queue
from worker.policy_files.parser import parse_policy
from worker.settings import Settings
from worker.store.accounts import passwords, reviewers
from worker.store.engine.column_types import utc_now
from worker.store.engine.database import Database
from worker.store.reviews import reviews

PASSWORD = "correct horse battery"
POLICY_TEXT = """name: default
description: Uploads to a general-audience platform.
background: [an everyday scene, a person]
labels:
  weapons:
    description: Firearms and blades.
    prompts: [a handgun, a knife held as a weapon]
    words: [ak-47, ammunition]
    review: 0.5
    block: 0.95
    severity: 5
    review_within_minutes: 60
  alcohol:
    prompts: [a bottle of wine]
    review: 0.5
    severity: 2
  nudity:
    prompts: [a naked person]
    review: 0.6
    severity: 3
    needs_reason: true
text: true
"""
POLICY: Policy = parse_policy(POLICY_TEXT, "default.yaml")


def picture(seed: int = 0, side: int = 240) -> Image.Image:
    """Return a colourful picture, different for each seed."""
    dice = np.random.default_rng(seed)
    image = Image.new("RGB", (side, side * 3 // 4), tuple(dice.integers(90, 200, 3).tolist()))
    pen = ImageDraw.Draw(image)
    for _ in range(9):
        x, y, size = dice.integers(0, side, 3)
        pen.ellipse(
            (x - size / 3, y - size / 3, x + size / 3, y + size / 3),
            fill=tuple(dice.integers(0, 256, 3).tolist()),
        )
    return image


def scores(**of: float) -> list[LabelScore]:
    """Return a score for every label of the policy; low unless given."""
    found = []
    for label in POLICY.labels:
        score = of.get(label.name, 0.07)
        found.append(
            LabelScore(label.name, score, label.prompts[0], 0.2 + score / 10, "an everyday scene", 0.25)
        )
    return found


@dataclass(frozen=True)
class DeskRows:
    """Writes rows as workers and admins would."""

    settings: Settings
    database: Database

    def person(self, name: str, role: Role = Role.REVIEWER, **of: Any) -> Reviewer:
        new = Reviewer(name, role, **of)
        with self.database.transaction() as session:
            reviewers.add(session, new, _password_hash())
        return new

    def item(  # noqa: PLR0913
        self,
        name: str,
        of: Sequence[LabelScore] | None = None,
        *,
        data: bytes | None = None,
        source: Source | None = None,
        vector: Sequence[float] | None = None,
        frames: int = 1,
        size: tuple[int, int] = (240, 180),
        parts: int = 1,
        kind: ReviewKind = ReviewKind.DECISION,
        **submission: Any,
    ) -> int:
        """Write a submission, its decision and its review; return the review's id."""
        data = data or encoded(picture(sum(name.encode())), "PNG")
        file = self.settings.media_root / f"{name}.png"
        file.write_bytes(data)
        made = Submission(name, source or LocalFile(file.name), **{"reference": f"post-{name}", **submission})
        decision = decide(POLICY, of or scores(weapons=0.81))
        digest = hashlib.sha256(data).hexdigest()
        facts = PictureFacts(digest, "PNG", *size, frames, parts)
        place = place_in_queue(POLICY, decision, utc_now())
        with self.database.transaction() as session:
            decision_id = add_decided(
                session,
                made,
                POLICY,
                decision,
                facts=facts,
                vectors=np.array([vector or _own_vector(name)] * frames * parts),
                source=source_record(made.source),
                text=POLICY_TEXT,
            )
            assert decision_id is not None
            review_id = reviews.ask(session, decision_id, kind, place)
        assert review_id is not None
        return review_id


def moving_picture() -> bytes:
    """Return an animation of three frames."""
    return animation([picture(n) for n in (1, 2, 3)], "GIF")


@contextmanager
def desk_rows(folder: Path, **settings: Any) -> Iterator[DeskRows]:
    """Prepare a database and a media root in `folder`."""
    (folder / "media").mkdir()
    read = Settings.read(
        database_url=f"sqlite:///{folder / 'moderation.db'}",
        media_root=folder / "media",
        broker_url="redis://127.0.0.1:1/0",
        decoder_processes=1,
        review_golden_share=0,
        **settings,
    )
    database = Database.connect(read.database_url)
    make_tables(database)
    yield DeskRows(read, database)
    database.dispose()


_HASHES: list[str] = []


def _password_hash() -> str:
    """Return the hash of PASSWORD, computed once: hashing is deliberately slow."""
    if not _HASHES:
        _HASHES.append(passwords.hash_of(PASSWORD))
    return _HASHES[0]


def _own_vector(name: str) -> list[float]:
    return np.random.default_rng(sum(name.encode())).standard_normal(16).tolist()
