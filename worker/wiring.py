"""The composition root: from settings to the assembled service; the only file that names every adapter."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prometheus_client import make_wsgi_app

from worker.client import Client
from worker.client.producer import Producer
from worker.domain.backlog import Backlog
from worker.domain.callback import WebhookCallback, callback_record
from worker.domain.policy_state import PolicyState
from worker.encoder.batcher import Batcher
from worker.encoder.protocol import Encoder
from worker.encoder.text_cache import TextCache
from worker.errors import CallbackNotAllowedError, InvalidSubmissionError, SettingsError
from worker.gate import Gate
from worker.images.decoder_pool import DecoderPool
from worker.images.download import Download
from worker.images.limits import Limits
from worker.images.local_folder import LocalFolder
from worker.images.object_store import ObjectStores
from worker.images.reader import ImageReader
from worker.images.uploads import Uploads
from worker.metrics import Metrics, PolicyReading, Recent, WebMetrics
from worker.network.address_guard import AddressGuard, AllowedHosts
from worker.network.http import GuardedHttp
from worker.notifications import signature
from worker.notifications.allowed_callbacks import AllowedCallbacks, AllowedTasks
from worker.notifications.celery_callback import CeleryTask
from worker.notifications.webhook import Webhook
from worker.policy_files.folder import file_of
from worker.policy_files.library import LastGood, LivePolicy, PolicyLibrary, none_known
from worker.policy_files.parser import read_policy
from worker.probes import serving, verdict_of
from worker.progress import Progress
from worker.settings import Settings
from worker.store import overview, policy_versions, schema
from worker.store.database import Database
from worker.usecases.accept_submissions import AcceptSubmissions
from worker.usecases.add_golden_item import AddGoldenItem
from worker.usecases.authenticate_key import AuthenticateKey
from worker.usecases.check_progress import CheckProgress
from worker.usecases.check_readiness import CheckReadiness
from worker.usecases.claim_review import ClaimReview
from worker.usecases.claim_submissions import ClaimSubmissions
from worker.usecases.classify_pictures import ClassifyPictures
from worker.usecases.compare_policies import ComparePolicies
from worker.usecases.deliver_events import DeliverEvents
from worker.usecases.escalate_review import EscalateReview
from worker.usecases.explain_decision import ExplainDecision
from worker.usecases.find_submission import FindSubmission
from worker.usecases.hunt_phrase import HuntPhrase
from worker.usecases.inherit_verdict import InheritVerdict
from worker.usecases.judge_picture import JudgePicture, vector_digest
from worker.usecases.last_verdict import LastVerdict
from worker.usecases.lint_policy import LintPolicy, newest_pictures
from worker.usecases.look_at_review import LookAtReview
from worker.usecases.moderate_image import ModerateImage
from worker.usecases.open_appeal import OpenAppeal
from worker.usecases.pick_policies import PickPolicies
from worker.usecases.prepare_policy import PreparePolicy, embed_policy
from worker.usecases.publish_submissions import PublishSubmissions
from worker.usecases.release_review import ReleaseReview
from worker.usecases.renew_claim import RenewClaim
from worker.usecases.report_policies import PolicyReporter, ReportPolicies, process_name
from worker.usecases.republish_due import RepublishDue
from worker.usecases.reverse_verdict import ReverseVerdict
from worker.usecases.review_statistics import ReviewStatistics
from worker.usecases.run_policy_tests import RunPolicyTests
from worker.usecases.scan_folder import ScanFolder
from worker.usecases.settle_review import SettleReview
from worker.usecases.settle_submissions import SettleSubmissions
from worker.usecases.show_picture import ShowPicture
from worker.usecases.sign_in import SignIn
from worker.usecases.skip_review import SkipReview
from worker.usecases.submission_history import SubmissionHistory
from worker.usecases.survey_deployment import SurveyDeployment
from worker.usecases.tidy_desk import TidyDesk

#: What a setting says that is not set; an empty variable is one that a compose file passed on.
_NONE = ("", "none")


@dataclass(frozen=True, slots=True)
class Service:
    """What a worker process runs."""

    encoder: Encoder
    policies: PolicyLibrary
    database: Database
    moderate_image: ModerateImage
    settle: SettleSubmissions


@dataclass(frozen=True, slots=True)
class ReviewDesk:
    """What people do with the review queue, without a model."""

    database: Database
    claim: ClaimReview
    renew: RenewClaim
    release: ReleaseReview
    skip: SkipReview
    escalate: EscalateReview
    settle: SettleReview
    reverse: ReverseVerdict
    appeal: OpenAppeal
    add_golden: AddGoldenItem
    statistics: ReviewStatistics
    history: SubmissionHistory


@dataclass(frozen=True, slots=True)
class Intake:
    """What takes submissions in and tells what was decided, without a model."""

    database: Database
    broker: Client
    metrics: WebMetrics
    uploads: Uploads
    authenticate: AuthenticateKey
    accept: AcceptSubmissions
    find: FindSubmission
    desk: ReviewDesk


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What the desk's pages work with."""

    queue: ReviewDesk
    sign_in: SignIn
    look: LookAtReview
    last_verdict: LastVerdict
    show_picture: ShowPicture


@contextmanager
def open_service(settings: Settings, progress: Progress | None = None) -> Iterator[Service]:
    """Assemble a worker's service, check all it needs, and follow the policy files while it is open.

    `progress` is what the process has in hand, for `/healthz` and the metrics. Raises the ModerationError of
    whatever is missing: the database or its tables, the metrics' port, the model, a policy.
    """
    metrics, progress = Metrics(), progress or Progress()
    with ExitStack() as stack:
        # The cheap checks first: nobody should wait for a model to learn that the database is away.
        database = open_database(settings)
        stack.callback(database.dispose)
        schema.check(database)
        reader = image_reader(settings)
        broker = stack.enter_context(Client(settings.broker_url, queue=settings.queue))
        readiness = CheckReadiness(database, broker, settings.policy)
        stack.enter_context(_probes(settings, metrics, progress, readiness))
        # The decoders start while the model loads.
        decoder = stack.enter_context(open_decoder(settings))
        encoder = stack.enter_context(open_encoder(settings, metrics))
        judge_picture = JudgePicture(encoder, decoder, metrics.stage)
        policies = open_policies(settings, judge_picture, last_good_in(database))
        policies.current(settings.policy)
        metrics.follow_policies(lambda: map(_reading, policies.states))
        decoder.wait_until_ready()
        moderate_image = ModerateImage(
            policies,
            settings.policy,
            reader,
            judge_picture,
            database,
            metrics,
            default_callback(settings),
            InheritVerdict(settings.review_inherit, callback_record(default_callback(settings))),
        )
        process = process_name()
        claim = ClaimSubmissions(database, process)
        reporter = PolicyReporter(ReportPolicies(database, process), policies)
        readiness.encoder, readiness.policies = encoder, policies
        stack.enter_context(policies.watching(settings.policy_reload_seconds))
        stack.enter_context(reporter.reporting())
        stack.enter_context(claim.renewing())
        if settings.schedule_in_workers:
            stack.enter_context(open_schedule(settings, metrics))
        settle = SettleSubmissions(moderate_image, claim, Gate(), metrics, progress)
        yield Service(encoder, policies, database, moderate_image, settle)


@contextmanager
def open_schedule(settings: Settings, metrics: Metrics) -> Iterator[Database]:
    """Do what is repeated beside the work while the context lasts; any number of processes may at once.

    With connections of its own, since nothing here may wait for the work. SchemaError or
    DatabaseUnavailableError where the tables are not there; the broker may be away.
    """
    with ExitStack() as stack:
        broker = stack.enter_context(Client(settings.broker_url, queue=settings.queue))
        database = open_database(settings)
        stack.callback(database.dispose)
        schema.check(database)
        republish = RepublishDue(database, PublishSubmissions(broker), metrics)
        deliver = stack.enter_context(open_deliverer(settings, database))
        for repeated in (republish.running(), deliver.running()):
            stack.enter_context(repeated)
        yield database


@contextmanager
def open_intake(settings: Settings) -> Iterator[Intake]:
    """Assemble the intake.

    SchemaError or DatabaseUnavailableError where the tables are not there; the broker may be away.
    """
    metrics = WebMetrics()
    callbacks = allowed_callbacks(settings)
    with ExitStack() as stack:
        broker = stack.enter_context(Client(settings.broker_url, queue=settings.queue))
        database = open_database(settings)
        stack.callback(database.dispose)
        schema.check(database)
        uploads = Uploads(settings.media_root, limits_of(settings))
        uploads.sweep()
        metrics.follow_backlog(_recent_backlog(database))
        metrics.follow_queue(Recent(broker.depth, "the queue"))
        publish = PublishSubmissions(broker)
        yield Intake(
            database=database,
            broker=broker,
            metrics=metrics,
            uploads=uploads,
            authenticate=AuthenticateKey(database),
            accept=AcceptSubmissions(database, settings.policies, publish, metrics, callbacks),
            find=FindSubmission(database),
            desk=review_desk(settings, database),
        )


@contextmanager
def _probes(
    settings: Settings, metrics: Metrics, progress: Progress, readiness: CheckReadiness
) -> Iterator[None]:
    """Tell operators' machines, from before the model is loaded until the process ends."""
    depth = Recent(readiness.broker.depth, "the queue")
    metrics.follow_backlog(_recent_backlog(readiness.database))
    metrics.follow_queue(depth)
    metrics.follow_progress(progress)
    health = CheckProgress(progress, depth, settings.stuck_seconds)
    routes = {
        "/metrics": make_wsgi_app(metrics.registry),
        "/healthz": verdict_of(health),
        "/readyz": verdict_of(readiness),
    }
    with serving(settings.metrics_host, settings.metrics_port, routes), ExitStack() as stack:
        if settings.metrics_port:
            stack.enter_context(health.looking())
        yield


@contextmanager
def serving_metrics(settings: Settings, metrics: Metrics) -> Iterator[None]:
    """Serve the metrics of a process that judges nothing; SettingsError where the port is taken."""
    routes = {"/metrics": make_wsgi_app(metrics.registry), "/healthz": verdict_of(lambda: (True, {}))}
    with serving(settings.metrics_host, settings.metrics_port, routes):
        yield


def _recent_backlog(database: Database) -> Recent[Backlog]:
    def read() -> Backlog:
        with database.reading() as session:
            return overview.backlog(session)

    return Recent(read, "the backlog")


@contextmanager
def open_desk_parts(settings: Settings, queue: ReviewDesk) -> Iterator[DeskParts]:
    """Assemble what the desk's pages need; while it is open, what is over there is forgotten."""
    database = queue.database
    with open_decoder(settings, lazy=True) as decoder, TidyDesk(database).running():
        yield DeskParts(
            queue=queue,
            sign_in=SignIn(database),
            look=LookAtReview(database),
            last_verdict=LastVerdict(database),
            show_picture=ShowPicture(database, image_reader(settings), decoder),
        )


@contextmanager
def open_encoder(settings: Settings, metrics: Metrics | None = None) -> Iterator[Encoder]:
    """Load the model; callers in many threads share its passes, and no phrase is encoded twice."""
    # Torch takes seconds to import, and most commands need no model.
    from worker.encoder.transformers_encoder import TransformersEncoder  # noqa: PLC0415

    loaded = TransformersEncoder.load(settings.model, threads=settings.torch_threads)
    batcher = Batcher(loaded, settings.batch_size, (metrics or Metrics()).batched)
    try:
        yield TextCache(batcher)
    finally:
        batcher.close()


@contextmanager
def open_decoder(settings: Settings, *, lazy: bool = False) -> Iterator[DecoderPool]:
    """Start the processes that decode, `lazy` only when they are needed; returns before they are ready."""
    decoder = DecoderPool(
        limits_of(settings),
        processes=settings.decoder_processes,
        seconds=settings.decode_seconds,
        memory_bytes=settings.decoder_memory_bytes,
        lazy=lazy,
    )
    try:
        yield decoder
    finally:
        decoder.close()


def open_policies(
    settings: Settings, judge_picture: JudgePicture, last_good: LastGood = none_known
) -> PolicyLibrary:
    """Read every policy file, embed its phrases, run its tests.

    A file that is refused is stood in for by the text that `last_good` has of its policy. InvalidPolicyError
    with all problems of all files where the default policy is not in force then.
    """
    prepare = PreparePolicy(RunPolicyTests(judge_picture))
    policies = PolicyLibrary(settings.policies, prepare, last_good, default=settings.policy)
    policies.load()
    return policies


def open_policy(settings: Settings, encoder: Encoder, name: str) -> LivePolicy:
    """Read one policy to try it out: its own tests need not pass, and the others are not looked at.

    UsageError where there is none of this name, InvalidPolicyError with all that is wrong with it.
    """
    file = file_of(settings.policies, name)
    policy, text = read_policy(file, with_pictures=False)
    return LivePolicy(policy, embed_policy(encoder, policy, file, text), text, datetime.now(UTC))


def last_good_in(database: Database) -> LastGood:
    """Return what looks up the version of a policy that was last in force anywhere."""

    def last_good(name: str) -> str | None:
        with database.reading() as session:
            return policy_versions.last_good(session, name)

    return last_good


def run_policy_tests(encoder: Encoder, decoder: DecoderPool) -> RunPolicyTests:
    """Return the use case that judges the pictures of a policy's own tests."""
    return RunPolicyTests(JudgePicture(encoder, decoder))


def lint_policy(settings: Settings, encoder: Encoder) -> LintPolicy:
    """Return the use case that warns of phrases; it looks at uploads where the database can be reached."""
    database = open_database(settings)
    try:
        pictures = newest_pictures(database, vector_digest(encoder, limits_of(settings)))
    finally:
        database.dispose()
    return LintPolicy(encoder, pictures)


def open_database(settings: Settings) -> Database:
    """Return the database of this deployment, not yet connected."""
    return Database.connect(settings.database_url, settings.database_password)


def image_reader(settings: Settings) -> ImageReader:
    """Return what fetches submitted pictures; SettingsError where a host or a store's root is none."""
    limits = limits_of(settings)
    http = GuardedHttp(AddressGuard(AllowedHosts.parse(settings.url_hosts)))
    return ImageReader(
        LocalFolder(settings.media_root, limits),
        Download(http, limits, settings.download_seconds),
        ObjectStores.open(settings.object_stores, limits, settings.download_seconds),
        limits,
    )


@contextmanager
def open_deliverer(settings: Settings, database: Database) -> Iterator[DeliverEvents]:
    """Return the use case that tells the platform; SettingsError where it could tell nobody as it should."""
    allowed = allowed_callbacks(settings)
    http = GuardedHttp(allowed.guard)
    webhook = Webhook(http, _webhook_keys(settings), settings.webhook_seconds)
    own = settings.callback_broker_url not in _NONE
    broker_url = settings.callback_broker_url if own else settings.broker_url
    setting = "MODERATION_CALLBACK_BROKER_URL" if own else "MODERATION_BROKER_URL"
    with closing(Producer(broker_url, setting=setting)) as producer:
        give_up_after = timedelta(hours=settings.callback_hours)
        yield DeliverEvents(database, allowed, webhook, CeleryTask(producer), give_up_after)


def allowed_callbacks(settings: Settings) -> AllowedCallbacks:
    """Return whom this deployment tells; SettingsError where that is no list, or no secret signs it."""
    try:
        hosts = AllowedHosts.parse(settings.webhook_hosts)
    except SettingsError as error:
        raise SettingsError(f"MODERATION_WEBHOOK_HOSTS: {error.message}", hint=error.hint) from None
    if hosts != AllowedHosts() and not _webhook_keys(settings):
        raise SettingsError(
            "MODERATION_WEBHOOK_HOSTS allows webhooks, but there is no secret to sign them with",
            hint="set MODERATION_WEBHOOK_SECRETS to what `moderate outbox new-secret` prints, and give it to "
            "the receivers",
        )
    return AllowedCallbacks(
        AddressGuard(hosts, hint="MODERATION_WEBHOOK_HOSTS names the hosts that are told of decisions"),
        AllowedTasks.parse(settings.callback_tasks),
        own_queue=settings.queue if settings.callback_broker_url in _NONE else "",
    )


def default_callback(settings: Settings) -> WebhookCallback | None:
    """Return who is told of submissions that bring no callback; SettingsError where nobody may be there."""
    if settings.webhook_url in _NONE:
        return None
    try:
        callback = WebhookCallback(settings.webhook_url)
        allowed_callbacks(settings).check(callback)
    except (InvalidSubmissionError, CallbackNotAllowedError) as error:
        problem = error.message.removeprefix("callback: ")
        raise SettingsError(f"MODERATION_WEBHOOK_URL: {problem}", hint=error.hint) from None
    return callback


def _webhook_keys(settings: Settings) -> tuple[bytes, ...]:
    text = settings.webhook_secrets
    return () if text in _NONE else signature.read_secrets(text)


@contextmanager
def survey_deployment(settings: Settings) -> Iterator[SurveyDeployment]:
    """Yield the use case that looks at broker and database."""
    database = open_database(settings)
    try:
        with Client(settings.broker_url, queue=settings.queue) as broker:
            yield SurveyDeployment(database, broker)
    finally:
        database.dispose()


def scan_folder(settings: Settings, encoder: Encoder, decoder: DecoderPool) -> ScanFolder:
    """Return the use case that judges files without broker or database."""
    return ScanFolder(JudgePicture(encoder, decoder), concurrency=2 * settings.batch_size)


def classify_pictures(settings: Settings, encoder: Encoder, decoder: DecoderPool) -> ClassifyPictures:
    """Return the use case that ranks labels on pictures."""
    return ClassifyPictures(encoder, decoder, concurrency=2 * settings.batch_size)


def explain_decision(settings: Settings, encoder: Encoder, database: Database) -> ExplainDecision:
    """Return the use case that makes recorded decisions again."""
    return ExplainDecision(database, encoder, vector_digest(encoder, limits_of(settings)))


def pick_policies(settings: Settings, database: Database) -> PickPolicies:
    """Return the use case that finds the policies a person names."""
    return PickPolicies(settings.policies, database)


def compare_policies(settings: Settings, encoder: Encoder, database: Database) -> ComparePolicies:
    """Return the use case that judges the archive under two policies."""
    return ComparePolicies(encoder, vector_digest(encoder, limits_of(settings)), database)


def hunt_phrase(settings: Settings, encoder: Encoder, database: Database) -> HuntPhrase:
    """Return the use case that ranks the archive by a phrase."""
    return HuntPhrase(encoder, vector_digest(encoder, limits_of(settings)), database)


def review_desk(settings: Settings, database: Database) -> ReviewDesk:
    """Return the use cases of the review queue."""
    lease = timedelta(seconds=settings.review_lease_seconds)
    callback = callback_record(default_callback(settings))
    return ReviewDesk(
        database=database,
        claim=ClaimReview(database, lease, settings.review_group_cosine, settings.review_golden_share),
        renew=RenewClaim(database, lease),
        release=ReleaseReview(database),
        skip=SkipReview(database),
        escalate=EscalateReview(database),
        settle=SettleReview(database, callback),
        reverse=ReverseVerdict(database, lease, callback),
        appeal=OpenAppeal(database),
        add_golden=AddGoldenItem(database),
        statistics=ReviewStatistics(database),
        history=SubmissionHistory(database),
    )


def limits_of(settings: Settings) -> Limits:
    """Return what a picture may cost here."""
    return Limits(
        max_bytes=settings.max_picture_bytes,
        max_pixels=settings.max_picture_pixels,
        max_side=settings.max_picture_side,
        max_frames=settings.max_frames,
    )


def _reading(state: PolicyState) -> PolicyReading:
    version = state.digest and state.digest[:12]
    return PolicyReading(
        state.policy, version, state.shadow, state.in_force_since, refused=state.refusal is not None
    )
