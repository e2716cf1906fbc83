"""Draws the heat map of a label: which places of the judged picture spoke for it."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from worker.domain.moderation.scoring import LabelScore
from worker.domain.policies.policy import Policy
from worker.encoder.explaining.protocol import Cells, Contrast, ExplainedModel, LabelExplainer, Method
from worker.errors import NoHeatMapError, UsageError
from worker.images import heat_overlay
from worker.images.parts import Parts, Place
from worker.images.processes.pool import DecoderPool, PreparedPicture
from worker.store.decisions import decisions
from worker.store.decisions.decisions import RecordedDecision
from worker.store.engine.database import Database
from worker.store.reviews import audit_log
from worker.store.reviews.reviews import Review
from worker.usecases.moderation.judge_picture import vector_digest_of
from worker.usecases.moderation.judged_pictures import ReadJudgedPicture
from worker.usecases.policies.policy_behind import policy_behind

#: How many drawn maps are cached, each of about 20 kB.
_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Where a label's score comes from, in the view that decided."""

    score: LabelScore
    method: Method
    #: Relative to each other; they cover `place`.
    cells: Cells
    place: Place
    #: Width and height of the picture as displayed.
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class HeatMapRequest:
    """Which label of which decision."""

    decision_id: int
    #: None for the gravest flagged label; if none is flagged, the strongest.
    label: str | None = None


@dataclass(frozen=True, slots=True)
class DrawnHeatMap:
    """A heat map as a transparent picture, to be shown over the picture."""

    data: bytes = field(repr=False)
    method: Method


class _Recent:
    """Cache of the maps that were drawn last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._maps: OrderedDict[HeatMapRequest, DrawnHeatMap] = OrderedDict()

    def find(self, request: HeatMapRequest) -> DrawnHeatMap | None:
        with self._lock:
            return self._maps.get(request)

    def keep(self, request: HeatMapRequest, drawn: DrawnHeatMap) -> None:
        with self._lock:
            self._maps[request] = drawn
            while len(self._maps) > _KEPT:
                self._maps.popitem(last=False)


@dataclass(frozen=True, slots=True)
class DrawHeatMap:
    """Draw heat maps of recorded decisions."""

    database: Database
    read: ReadJudgedPicture
    decoder: DecoderPool
    explainer: LabelExplainer
    _recent: _Recent = field(default_factory=_Recent)

    def __call__(self, request: HeatMapRequest) -> DrawnHeatMap:
        """Return the map drawn, possibly from the cache; errors as in `compute`."""
        if known := self._recent.find(request):
            return known
        found = self.compute(request)
        layer = heat_overlay.overlay(found.cells, found.size, found.place)
        drawn = DrawnHeatMap(heat_overlay.encoded(layer), found.method)
        self._recent.keep(request, drawn)
        return drawn

    def compute(self, request: HeatMapRequest) -> HeatMap:
        """Read the picture again, and explain the view of it that decided.

        UsageError if the decision has no such label; NoHeatMapError if the picture was not judged, or by
        another model, or nothing in it speaks for the label; PictureChangedError or another ModerationError
        if the judged bytes are gone; ModelError or UnavailableError if there is no model.
        """
        recorded, policy = self._recorded(request.decision_id)
        score = _score_of(recorded, request.label)
        if policy is None:
            raise NoHeatMapError("the text of the policy that decided can no longer be read")
        data = self.read(recorded.submission_id, recorded.id).data
        model = self.explainer.model()
        self._check_model(recorded, model)
        prepared = self.decoder.decode(data, model.preprocessing)
        contrast = Contrast(score.prompt, score.background, policy.templates)
        cells = self.explainer.explain(prepared.showing(score.view), contrast)
        if not cells.any():
            raise NoHeatMapError(
                f"no single place in the picture speaks for {score.label}: the score comes from the whole"
            )
        size = prepared.facts.width, prepared.facts.height
        return HeatMap(score, model.method, cells, _place(prepared, model, score), size)

    def note_shown(self, reviewer: str, review: Review, label: str) -> None:
        """Record that a person saw the heat map of a label."""
        with self.database.transaction() as session:
            audit_log.note(
                session,
                reviewer,
                audit_log.HEAT_MAP_SHOWN,
                review_id=review.id,
                submission_id=review.decision.submission_id,
                label=label,
            )

    def _recorded(self, decision_id: int) -> tuple[RecordedDecision, Policy | None]:
        with self.database.reading() as session:
            recorded = decisions.get(session, decision_id)
            return recorded, policy_behind(session, recorded)

    def _check_model(self, recorded: RecordedDecision, model: ExplainedModel) -> None:
        known = [vector_digest_of(digest, self.decoder.limits) for digest in model.digests]
        if recorded.model_digest not in known:
            raise NoHeatMapError(
                f"another model, or another version of this service, decided: digest "
                f"{recorded.model_digest[:12]}, here {known[0][:12]}",
                hint="set MODERATION_MODEL to the model that decided",
            )


def _score_of(recorded: RecordedDecision, label: str | None) -> LabelScore:
    """Return the score of a label, by default the first flagged one."""
    if not recorded.scores:
        raise NoHeatMapError("the picture was not judged, so there is nothing to explain")
    scores = {score.label: score for score in recorded.scores}
    if label is None:
        strongest = max(recorded.scores, key=lambda score: score.score).label
        label = next((name for name in recorded.flagged if name in scores), strongest)
    if label not in scores:
        raise UsageError(
            f"the decision has no score of a label {label!r}", hint=f"it has {', '.join(scores)}"
        )
    return scores[label]


def _place(prepared: PreparedPicture, model: ExplainedModel, score: LabelScore) -> Place:
    """Return where the view that decided lies in the whole picture."""
    facts, views = prepared.facts, prepared.views
    parts = Parts.of((facts.width, facts.height), model.preprocessing, shown=views.frames * views.pages)
    return parts.place(score.view.part)
