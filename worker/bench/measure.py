"""Measures a deployment end to end, one phase after another, in about the given time."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moderation_client import Client

from worker.bench.alone import BATCH_SIZES, MeasureAlone
from worker.bench.figures import Alone, Configured, Figures
from worker.bench.load import Load
from worker.bench.machine import is_int8, is_processor, precision_for, this_machine
from worker.bench.pictures import Pictures, drawn_pictures, own_pictures
from worker.errors import ModelError
from worker.settings import Settings
from worker.stage.service_processes import running_worker
from worker.stage.stage import Stage
from worker.wiring.components import open_decoder
from worker.wiring.sizing import Sizing
from worker.wiring.worker_service import open_service

#: The share of the full load at which latencies are measured.
PACE: Final = 0.7
#: Shares of the time, one for each phase.
_ALONE, _SINGLE, _MANY, _PACED, _REPEATS = 0.28, 0.27, 0.13, 0.25, 0.07

#: Progress callback; gets the name of the current phase and the seconds that have passed.
Show = Callable[[str, float], None]


@dataclass
class MeasureDeployment:
    """Measure the configured deployment, with the pictures of `folder` or with drawn ones."""

    stage: Stage
    folder: Path | None
    seconds: float
    show: Show
    _elapsed: float = 0.0
    #: Set once the run has begun.
    pictures: Pictures | None = None
    labels: int = 0
    #: Policies whose files were refused.
    refused: Sequence[str] = ()

    def __call__(self) -> Figures:
        """Return all figures; raise the ModerationError that keeps a worker from starting."""
        alone, pictures = self._alone()
        settings = self.stage.settings
        self.show("starting the worker", self._elapsed)
        with (
            running_worker(settings, self.stage.log) as process,
            Client(settings.broker_url, queue=settings.queue) as client,
        ):
            load = Load(self.stage, process, client, pictures, tick=lambda: None)
            with self._phase("full load", _SINGLE, load) as seconds:
                single = load.single(seconds)
            with self._phase("messages of many", _MANY, load) as seconds:
                many = load.many(seconds, single.rate)
            load.drain()
            with self._phase("70 % of full load", _PACED, load) as seconds:
                paced = load.paced(seconds, PACE * single.rate)
            with self._phase("the same bytes again", _REPEATS, load) as seconds:
                repeats = load.repeats(seconds)
            load.drain()
            machine = this_machine()
            self.show("stopping the worker", self.seconds)
        return Figures(
            machine=machine,
            configured=Configured(
                precision=alone.tower.precision,
                batch_size=settings.batch_size,
                passes=Sizing.of(settings).passes,
                concurrency=settings.concurrency,
                is_int8=is_int8(settings.model),
                on_processor=is_processor(settings.device),
            ),
            alone=alone,
            single=single,
            many=many,
            paced=paced,
            repeats=repeats,
            memory=load.memory,
            decided=load.decided,
            unjudged=load.unjudged,
        )

    def _alone(self) -> tuple[Alone, Pictures]:
        """Measure the parts in this process, and unload the model before the worker loads it."""
        settings = self.stage.settings
        self.show(f"loading the model {settings.model}", 0.0)
        largest = max(settings.batch_size, *BATCH_SIZES)
        here = settings.model_copy(
            update={"batch_size": largest, "metrics_port": 0, "schedule_in_workers": False}
        )
        seconds, began = _ALONE * self.seconds, time.monotonic()

        def tick(what: str) -> None:
            self.show(what, min(time.monotonic() - began, seconds))

        alone, pictures, measure = self._parts(here, seconds, tick)
        self._elapsed = seconds
        return self._in_other_precision(measure, alone), pictures

    def _parts(
        self, here: Settings, seconds: float, tick: Callable[[str], None]
    ) -> tuple[Alone, Pictures, MeasureAlone]:
        """Measure the configured precision; no model stays in memory."""
        settings = self.stage.settings
        with _without_log(), open_service(here) as service, open_decoder(settings) as decoder:
            self.labels = len(service.policies.current(settings.policy).policy.labels)
            self.refused = [state.policy for state in service.policies.states if state.refusal]
            if self.folder is None:
                self.show("drawing pictures", 0.0)
                pictures = drawn_pictures()
            else:
                self.show("looking at the pictures", 0.0)
                pictures = own_pictures(self.folder, decoder, service.encoder.info.preprocessing)
            self.pictures = pictures
            measure = MeasureAlone(self.stage, pictures, seconds, tick)
            return measure.parts(service, decoder), pictures, measure

    def _in_other_precision(self, measure: MeasureAlone, alone: Alone) -> Alone:
        """Measure the precision that is not configured too, if hardware and model support it."""
        computed = alone.tower.precision
        # `auto`, since it uses bfloat16 only for models whose vectors hardly change in it.
        other = "float32" if computed == "bfloat16" else "auto"
        if (
            other == self.stage.settings.precision
            or precision_for(other, self.stage.settings.device) == computed
        ):
            return alone
        try:
            return measure.in_other_precision(alone, other)
        except ModelError:
            # Not every model supports every precision.
            return alone

    @contextmanager
    def _phase(self, what: str, share: float, load: Load) -> Iterator[float]:
        """Yield the seconds of a phase, and show its progress while the block runs."""
        seconds, began, before = share * self.seconds, time.monotonic(), self._elapsed
        load.tick = lambda: self.show(what, before + min(time.monotonic() - began, seconds))
        yield seconds
        self._elapsed = before + seconds


@contextmanager
def _without_log() -> Iterator[None]:
    """Silence this process: the worker logs the same, such as refused policies."""
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
