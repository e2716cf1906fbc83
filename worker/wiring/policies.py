"""Assembles policies: the library in force, and the use cases for their authors."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from worker.domain.policies.policy import Policy
from worker.domain.policies.stored_policy import StoredPolicy
from worker.encoder.protocol import Encoder
from worker.images.processes.pool import DecoderPool
from worker.policy_files.library import LastGood, LivePolicy, PolicyLibrary, none_known, nothing_learned
from worker.policy_files.parser import read_policy
from worker.policy_files.yaml_text.folder import SUFFIXES, file_of
from worker.settings import Settings
from worker.store.engine.database import Database
from worker.store.policies import policy_versions
from worker.usecases.learning.load_learned import LearnedInForce, LoadLearned
from worker.usecases.moderation.classify_pictures import ClassifyPictures
from worker.usecases.moderation.judge_picture import JudgePicture, vector_digest
from worker.usecases.moderation.scan_folder import ScanFolder
from worker.usecases.policies.compare_policies import ComparePolicies
from worker.usecases.policies.explain_decision import ExplainDecision
from worker.usecases.policies.hunt_phrase import HuntPhrase
from worker.usecases.policies.lint_policy import LintPolicy, newest_pictures
from worker.usecases.policies.pick_policies import PickPolicies
from worker.usecases.policies.prepare_policy import PreparePolicy, embed_policy
from worker.usecases.policies.run_policy_tests import RunPolicyTests
from worker.wiring.components import limits_of, open_database
from worker.wiring.sizing import Sizing


def open_policies(
    settings: Settings,
    judge_picture: JudgePicture,
    last_good: LastGood = none_known,
    learned: LearnedInForce | None = None,
) -> PolicyLibrary:
    """Read every policy file, embed its phrases, find what it `learned`, run its tests.

    `last_good` replaces a refused file by the last text of its policy that was in force. InvalidPolicyError
    with all problems of all files if the default policy is still not in force.
    """
    prepare = PreparePolicy(RunPolicyTests(judge_picture), learned)
    learned_now = learned.digest_of if learned else nothing_learned
    policies = PolicyLibrary(settings.policies, prepare, last_good, learned_now, default=settings.policy)
    policies.load()
    return policies


def open_policy(settings: Settings, encoder: Encoder, name: str) -> LivePolicy:
    """Read one policy to try it out: its tests need not pass, and the other files are not read.

    UsageError if there is no policy of this name; InvalidPolicyError with all its problems.
    """
    return PolicyDraft.of(settings, name).open(encoder)


@dataclass(frozen=True, slots=True)
class PolicyDraft:
    """A policy to try out: its tests need not pass."""

    policy: Policy
    file: Path
    text: str

    @classmethod
    def of(cls, settings: Settings, name: str) -> Self:
        """Read a policy by its name, or by the path of its file, which ends in .yaml or .yml.

        UsageError if there is no policy of this name; InvalidPolicyError with all its problems.
        """
        file = Path(name) if name.endswith(SUFFIXES) else file_of(settings.policies, name)
        policy, text = read_policy(file, with_pictures=False)
        return cls(policy, file, text)

    def open(self, encoder: Encoder) -> LivePolicy:
        """Embed its phrases; InvalidPolicyError if the model would cut one off."""
        vectors = embed_policy(encoder, self.policy, self.file, self.text)
        return LivePolicy(self.policy, vectors, self.text, datetime.now(UTC))


def last_good_in(database: Database) -> LastGood:
    """Return a function that finds the version of a policy that was last in force in any process."""

    def last_good(name: str) -> StoredPolicy | None:
        with database.reading() as session:
            return policy_versions.last_good(session, name)

    return last_good


def learned_in_force(settings: Settings, encoder: Encoder, database: Database) -> LearnedInForce:
    """Return the use case that finds what policies learned under this model."""
    return LearnedInForce(load_learned(settings, encoder, database))


def load_learned(settings: Settings, encoder: Encoder, database: Database) -> LoadLearned:
    """Return the use case that loads what versions learned under this model."""
    return LoadLearned(database, vector_digest(encoder, limits_of(settings)))


def run_policy_tests(encoder: Encoder, decoder: DecoderPool) -> RunPolicyTests:
    """Return the use case that runs a policy's tests."""
    return RunPolicyTests(JudgePicture(encoder, decoder))


def lint_policy(settings: Settings, encoder: Encoder) -> LintPolicy:
    """Return the use case that lints a policy; it uses recent uploads if the database is available."""
    database = open_database(settings)
    try:
        pictures = newest_pictures(database, vector_digest(encoder, limits_of(settings)))
    finally:
        database.dispose()
    return LintPolicy(encoder, pictures)


def pick_policies(settings: Settings, database: Database) -> PickPolicies:
    """Return the use case that resolves the policies that a person names."""
    return PickPolicies(settings.policies, database)


def compare_policies(settings: Settings, encoder: Encoder, database: Database) -> ComparePolicies:
    """Return the use case that judges the archive by two policies."""
    load = load_learned(settings, encoder, database)
    return ComparePolicies(encoder, load.model_digest, database, load)


def hunt_phrase(settings: Settings, encoder: Encoder, database: Database) -> HuntPhrase:
    """Return the use case that ranks the archive by a phrase."""
    return HuntPhrase(encoder, vector_digest(encoder, limits_of(settings)), database)


def explain_decision(settings: Settings, encoder: Encoder, database: Database) -> ExplainDecision:
    """Return the use case that explains recorded decisions."""
    load = load_learned(settings, encoder, database)
    return ExplainDecision(database, encoder, load.model_digest, load)


def scan_folder(settings: Settings, encoder: Encoder, decoder: DecoderPool) -> ScanFolder:
    """Return the use case that judges files without broker or database."""
    return ScanFolder(JudgePicture(encoder, decoder), concurrency=Sizing.of(settings).concurrency)


def classify_pictures(settings: Settings, encoder: Encoder, decoder: DecoderPool) -> ClassifyPictures:
    """Return the use case that ranks labels on pictures."""
    return ClassifyPictures(encoder, decoder, concurrency=Sizing.of(settings).concurrency)
