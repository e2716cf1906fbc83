"""Guard: adopts what was learned about a label only if it helps on verdicts it was not fitted to."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from worker.domain.learning.calibration import calibrate, log_losses
from worker.domain.learning.candidates import CANDIDATES, Fit, Fitter, choose_examples
from worker.domain.learning.evidence import LEAST_OF_A_KIND, LEAST_VERDICTS, Archive, Evidence
from worker.domain.moderation.learned import LearnedLabel
from worker.domain.moderation.scoring import Logits, Matrix

#: Name of the candidate that keeps a label as it is.
AS_IT_IS: Final = "as it is"
_FOLDS: Final = 5
#: The false-positive rate at which recall is compared.
_FALSE_POSITIVES: Final = 0.01
_SEED: Final = 19


@dataclass(frozen=True, slots=True)
class Figures:
    """How well logits agree with verdicts that they were not fitted to."""

    #: Weighted mean log loss.
    log_loss: float
    #: Share of the label's pictures found at the score that 1 % of the others reach; weighted.
    recall: float


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """What to learn about a label, or why nothing."""

    label: str
    verdicts: int
    #: Verdicts that say that the label applies.
    right: int
    #: What was adopted: a key of `CANDIDATES`, or AS_IT_IS.
    adopted: str
    #: Why, for people.
    reason: str
    #: None if nothing is learned.
    learned: LearnedLabel | None = None
    before: Figures | None = None
    after: Figures | None = None
    #: The adopted logits of the evidence, each from folds without its picture; shape (pictures,).
    held_out: Logits | None = None


def propose(label: str, contest: str, evidence: Evidence, archive: Archive, chosen: Matrix) -> Proposal:
    """Return what to learn about a label from its evidence; `chosen` are examples that people chose.

    Every candidate is fitted to four fifths of the evidence and calibrated on the rest, five times over, with
    copies of the same bytes in one fold. The best one is adopted if its weighted log loss is lower than that
    of the label as it is by more than one standard error (the rule of Breiman et al. 1984, "Classification
    and Regression Trees", section 3.4.3).
    """
    right = int(evidence.truth.sum())
    if not evidence.is_enough:
        return _too_little(label, contest, evidence, chosen)
    own = log_losses(evidence.logits, evidence.truth)
    held_out = {name: _held_out(fit, evidence, archive, chosen) for name, fit in CANDIDATES.items()}
    losses = {
        name: log_losses(logits, evidence.truth) for name, logits in held_out.items() if logits is not None
    }
    best = min(losses, key=lambda name: float((evidence.weights * losses[name]).mean()))
    gains = evidence.weights * (own - losses[best])
    gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))
    before = _figures(evidence.logits, evidence)
    fitted = CANDIDATES[best](evidence, archive, choose_examples(evidence, chosen))
    logits = held_out[best]
    if fitted is None or logits is None or gain <= error:
        why = (
            f"the best candidate, {best}, lowers the log loss by {gain:.3f}, within its error of {error:.3f}"
        )
        return Proposal(label, len(evidence), right, AS_IT_IS, why, before=before)
    slope, intercept = _calibration(CANDIDATES[best], evidence, archive, chosen)
    why = f"log loss {before.log_loss:.3f} to {_figures(logits, evidence).log_loss:.3f} on held-out verdicts"
    return Proposal(
        label,
        len(evidence),
        right,
        best,
        why,
        fitted.calibrated(contest, slope, intercept),
        before,
        _figures(logits, evidence),
        logits,
    )


def _too_little(label: str, contest: str, evidence: Evidence, chosen: Matrix) -> Proposal:
    """Return the proposal without enough evidence: examples that people chose, or nothing."""
    right = int(evidence.truth.sum())
    missing = (
        f"{len(evidence)} of {LEAST_VERDICTS} verdicts"
        if len(evidence) < LEAST_VERDICTS
        else f"{evidence.fewest} of {LEAST_OF_A_KIND} verdicts of the rarer answer"
    )
    if not len(chosen):
        return Proposal(label, len(evidence), right, AS_IT_IS, f"too few verdicts: {missing}")
    examples = choose_examples(evidence[np.empty(0, np.intp)], chosen)
    why = f"chosen by people, not measured: {missing}"
    return Proposal(label, len(evidence), right, "examples", why, LearnedLabel(contest, examples))


def _held_out(fit: Fitter, evidence: Evidence, archive: Archive, chosen: Matrix) -> Logits | None:
    """Return calibrated logits of each picture from fits without it; None if a fold is too small."""
    raw = _raw_held_out(fit, evidence, archive, chosen)
    if raw is None:
        return None
    calibrated = np.empty(len(evidence))
    for train, test in _folds(evidence):
        slope, intercept = calibrate(raw[train], evidence.truth[train], evidence.weights[train])
        calibrated[test] = slope * raw[test] + intercept
    return calibrated


def _raw_held_out(fit: Fitter, evidence: Evidence, archive: Archive, chosen: Matrix) -> Logits | None:
    logits = np.empty(len(evidence))
    for train, test in _folds(evidence):
        fitted: Fit | None = fit(evidence[train], archive, choose_examples(evidence[train], chosen))
        if fitted is None:
            return None
        logits[test] = fitted.logits(evidence[test], archive)
    return logits


def _calibration(fit: Fitter, evidence: Evidence, archive: Archive, chosen: Matrix) -> tuple[float, float]:
    """Calibrate on logits that were not fitted to their own pictures."""
    raw = _raw_held_out(fit, evidence, archive, chosen)
    if raw is None:
        return 1.0, 0.0
    return calibrate(raw, evidence.truth, evidence.weights)


def _folds(evidence: Evidence) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the rows of each fold: those to fit to, and those to measure on."""
    folds = StratifiedGroupKFold(min(_FOLDS, evidence.fewest), shuffle=True, random_state=_SEED)
    return list(folds.split(evidence.vectors, evidence.truth, evidence.groups))


def _figures(logits: Logits, evidence: Evidence) -> Figures:
    loss = float((evidence.weights * log_losses(logits, evidence.truth)).mean())
    others, weight = logits[~evidence.truth], evidence.weights[~evidence.truth]
    order = np.argsort(-others)
    above = np.cumsum(weight[order]) / weight.sum()
    limit = others[order][min(int((above <= _FALSE_POSITIVES).sum()), len(others) - 1)]
    own = evidence.weights[evidence.truth]
    return Figures(loss, float(own[logits[evidence.truth] > limit].sum() / own.sum()))
