"""Assembles the service of a worker process."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, TypeVar

from moderation_client import Client

from worker.concurrency.batching import Batcher
from worker.concurrency.shared_lock import SharedLock
from worker.domain.moderation.scoring import MOST_SCORES
from worker.domain.policies.policy_state import PolicyState
from worker.encoder.protocol import Encoder
from worker.observability.metrics import Metrics, PolicyReading
from worker.observability.progress import Progress
from worker.policy_files.library import PolicyLibrary
from worker.settings import Settings
from worker.store.engine.database import Database
from worker.store.upgrade import schema
from worker.usecases.moderation.inherit_verdict import InheritVerdict
from worker.usecases.moderation.judge_picture import JudgePicture
from worker.usecases.moderation.moderate_image import ModerateImage
from worker.usecases.moderation.recall_embeddings import RecallEmbeddings
from worker.usecases.moderation.record_decisions import RecordDecisions
from worker.usecases.moderation.settle_submissions import SettleSubmissions
from worker.usecases.operations.check_readiness import CheckReadiness
from worker.usecases.operations.count_labels import CountLabels
from worker.usecases.policies.report_policies import PolicyReporter, ReportPolicies, process_name
from worker.usecases.submissions.claim_submissions import ClaimSubmissions
from worker.usecases.submissions.keep_dropped import KeepDropped
from worker.usecases.submissions.refuse_submission import RefuseSubmission
from worker.usecases.submissions.set_aside import SetAside
from worker.wiring.components import image_reader, open_database, open_decoder, open_encoder
from worker.wiring.notifications import default_callback
from worker.wiring.observability import serving_probes
from worker.wiring.policies import last_good_in, learned_in_force, open_policies
from worker.wiring.schedule import open_schedule

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Largest batch of submissions in one transaction: those that arrive while another transaction runs.
MAX_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class Service:
    """The use cases and components of a worker process."""

    encoder: Encoder
    policies: PolicyLibrary
    database: Database
    moderate_image: ModerateImage
    refuse: RefuseSubmission
    settle: SettleSubmissions
    set_aside: SetAside
    dropped: KeepDropped


@contextmanager
def open_service(settings: Settings, progress: Progress | None = None) -> Iterator[Service]:
    """Assemble a worker's service, check all it needs, and watch the policy files while it is open.

    `progress` tracks the jobs in flight for `/healthz` and the metrics. Raises a ModerationError if something
    is missing: the database or its tables, the port of the metrics, the model, a policy.
    """
    metrics, progress = Metrics(), progress or Progress()
    with ExitStack() as stack:
        # The cheap checks first: an unavailable database is reported before the model is loaded.
        database = open_database(settings)
        stack.callback(database.dispose)
        schema.check(database)
        reader = image_reader(settings)
        metrics.follow_sources(lambda: reader.outages.up)
        broker = stack.enter_context(Client(settings.broker_url, queue=settings.queue))
        readiness = CheckReadiness(database, broker, settings.policy, reader.outages)
        stack.enter_context(serving_probes(settings, metrics, progress, readiness))
        # The decoders start while the model loads.
        decoder = stack.enter_context(open_decoder(settings, database))
        encoder = stack.enter_context(open_encoder(settings, metrics, database))
        judge_picture = JudgePicture(encoder, decoder, metrics.stage, MOST_SCORES)
        # The tests of a policy report the score of any label.
        policies = open_policies(
            settings,
            replace(judge_picture, most_scores=None),
            last_good_in(database),
            learned_in_force(settings, encoder, database),
        )
        policies.current(settings.policy)
        if not settings.fits_its_model:
            log.warning(
                "the policy %s is written for stickers, and its scores mean little with the model %s: "
                "set MODERATION_POLICY",
                settings.policy,
                settings.model,
            )
        metrics.follow_policies(lambda: map(_reading, policies.states))
        decoder.wait_until_ready()
        inherit = InheritVerdict(settings.review_inherit)
        record = RecordDecisions(database, judge_picture, default_callback(settings), inherit)
        count_labels = CountLabels(database)
        stack.enter_context(count_labels.counting())
        moderate_image = ModerateImage(
            policies,
            settings.policy,
            reader,
            judge_picture,
            database,
            metrics,
            recall=_batched(stack, RecallEmbeddings(database, judge_picture), "reading embeddings"),
            record=_batched(stack, record, "recording decisions"),
            count=count_labels,
        )
        dropped = KeepDropped(database, metrics.dropped)
        stack.enter_context(dropped.keeping())
        process = process_name()
        claim = ClaimSubmissions(
            database, process, policy_wait=timedelta(seconds=settings.policy_wait_seconds)
        )
        refuse = RefuseSubmission(database, default_callback(settings))
        reporter = PolicyReporter(ReportPolicies(database, process), policies)
        readiness.encoder, readiness.policies = encoder, policies
        stack.enter_context(policies.watching(settings.policy_reload_seconds))
        stack.enter_context(reporter.reporting())
        stack.enter_context(claim.renewing())
        if settings.schedule_in_workers:
            stack.enter_context(open_schedule(settings, metrics))
        claim_each = _batched(stack, claim, "claiming submissions").outcomes
        missing_for = timedelta(seconds=settings.missing_source_seconds)
        settle = SettleSubmissions(
            moderate_image, refuse, claim, claim_each, SharedLock(), metrics, progress, missing_for
        )
        set_aside = SetAside(database, metrics)
        yield Service(encoder, policies, database, moderate_image, refuse, settle, set_aside, dropped)


def _batched(
    stack: ExitStack,
    work: Callable[[Sequence[Item]], Sequence[Result]],
    name: str,
) -> Batcher[Item, Result]:
    """Batch the calls of `work` from all threads into shared transactions, until the stack unwinds."""
    batcher = Batcher(work, most=MAX_BATCH, name=name)
    stack.callback(batcher.close)
    return batcher


def _reading(state: PolicyState) -> PolicyReading:
    version = state.digest and state.digest[:12]
    return PolicyReading(
        state.policy, version, state.shadow, state.in_force_since, refused=state.refusal is not None
    )
