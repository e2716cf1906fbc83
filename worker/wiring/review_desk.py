"""Assembles the use cases of the review queue, for the command line, the HTTP API and the desk's pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from moderation_client.callback import callback_record

from worker.settings import Settings
from worker.store.engine.database import Database
from worker.usecases.accounts.desk_keys import DeskKeys
from worker.usecases.accounts.desk_sessions import DeskSessions
from worker.usecases.accounts.manage_reviewers import ManageReviewers
from worker.usecases.accounts.sign_in import SignIn
from worker.usecases.moderation.judged_pictures import CheckPictures, ReadJudgedPicture
from worker.usecases.reviews.appeals import Appeals
from worker.usecases.reviews.browse_reviews import BrowseReviews
from worker.usecases.reviews.claim_review import ClaimReview
from worker.usecases.reviews.draw_heat_map import DrawHeatMap
from worker.usecases.reviews.golden_items import GoldenItems
from worker.usecases.reviews.held_claims import HeldClaims
from worker.usecases.reviews.last_verdict import LastVerdict
from worker.usecases.reviews.look_at_review import LookAtReview
from worker.usecases.reviews.reverse_verdict import ReverseVerdict
from worker.usecases.reviews.review_statistics import ReviewStatistics
from worker.usecases.reviews.settle_review import SettleReview
from worker.usecases.reviews.show_picture import ShowPicture
from worker.usecases.reviews.submission_history import SubmissionHistory
from worker.usecases.submissions.find_submission import FindSubmission
from worker.wiring.components import image_reader, open_decoder
from worker.wiring.explaining import open_heat_maps
from worker.wiring.notifications import default_callback


@dataclass(frozen=True, slots=True)
class ReviewDesk:
    """The use cases of the review queue; none needs a model."""

    browse: BrowseReviews
    claim: ClaimReview
    claims: HeldClaims
    settle: SettleReview
    reverse: ReverseVerdict
    appeals: Appeals
    golden: GoldenItems
    statistics: ReviewStatistics
    history: SubmissionHistory
    submissions: FindSubmission
    read_picture: ReadJudgedPicture
    check_pictures: CheckPictures


@dataclass(frozen=True, slots=True)
class DeskComponents:
    """The use cases of the desk's pages."""

    queue: ReviewDesk
    sign_in: SignIn
    sessions: DeskSessions
    accounts: ManageReviewers
    look: LookAtReview
    last_verdict: LastVerdict
    show_picture: ShowPicture
    #: None if heat maps are turned off.
    draw_heat_map: DrawHeatMap | None
    #: Signs the URLs of pictures, and the tokens of known browsers.
    picture_key: bytes = field(repr=False)


def review_desk(settings: Settings, database: Database) -> ReviewDesk:
    """Assemble the use cases of the review queue."""
    lease = timedelta(seconds=settings.review_lease_seconds)
    callback = callback_record(default_callback(settings))
    read_picture = ReadJudgedPicture(database, image_reader(settings))
    check_pictures = CheckPictures(read_picture)
    return ReviewDesk(
        browse=BrowseReviews(database),
        claim=ClaimReview(database, lease, settings.review_group_cosine, settings.review_golden_share),
        claims=HeldClaims(database, lease),
        settle=SettleReview(database, callback, check_pictures),
        reverse=ReverseVerdict(database, lease, callback),
        appeals=Appeals(database),
        golden=GoldenItems(database, read_picture),
        statistics=ReviewStatistics(database),
        history=SubmissionHistory(database),
        submissions=FindSubmission(database),
        read_picture=read_picture,
        check_pictures=check_pictures,
    )


@contextmanager
def open_desk_components(
    settings: Settings, database: Database, queue: ReviewDesk
) -> Iterator[DeskComponents]:
    """Assemble the use cases of the desk's pages."""
    with (
        open_decoder(settings, database, lazy=True) as decoder,
        open_heat_maps(settings, database, queue.read_picture, decoder) as draw_heat_map,
    ):
        yield DeskComponents(
            queue=queue,
            sign_in=SignIn(database),
            sessions=DeskSessions(database),
            accounts=ManageReviewers(database),
            look=LookAtReview(database),
            last_verdict=LastVerdict(database),
            show_picture=ShowPicture(database, queue.read_picture, decoder),
            draw_heat_map=draw_heat_map,
            picture_key=DeskKeys(database).pictures(),
        )
