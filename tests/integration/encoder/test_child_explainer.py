"""The process that holds the model for the desk: started on first use, limited, replaced, ended when idle."""

import os
import signal
from contextlib import suppress

import numpy as np
import pytest
from support.models import make_model

from worker.encoder.explaining import child_explainer
from worker.encoder.explaining.child_explainer import ChildExplainer, ChildSettings
from worker.encoder.explaining.model_explainer import ModelExplainer
from worker.encoder.explaining.protocol import Contrast
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.errors import ModelError, UnavailableError

MIB = 2**20
PHRASES = Contrast("a pistol", "a dog", ("a photo of {}", "{}" + " x" * 3000))
PIXELS = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(make_model("clip", tmp_path_factory.mktemp("models") / "clip"))


def explainer(model, memory_bytes=1024 * MIB):
    return ChildExplainer(ChildSettings(model, 1, memory_bytes))


def test_it_explains_as_this_process_would_is_replaced_if_it_dies_and_ends_when_idle(model, monkeypatch):
    child = explainer(model)
    try:
        child.end_if_idle()
        assert child.pid is None
        here = ModelExplainer(TransformersEncoder.load(model, threads=1))
        assert child.model() == here.model()
        assert np.allclose(child.explain(PIXELS, PHRASES), here.explain(PIXELS, PHRASES), atol=1e-6)
        first = child.pid
        child.end_if_idle()
        assert child.pid == first
        os.kill(first, signal.SIGKILL)
        # Whether it is found dead or dies with the request, the next one gets a new child.
        with suppress(UnavailableError):
            child.explain(PIXELS, PHRASES)
        assert child.explain(PIXELS, PHRASES).shape == (4, 4)
        assert child.pid != first
        monkeypatch.setattr(child_explainer, "IDLE_SECONDS", -1)
        child.end_if_idle()
        assert child.pid is None
    finally:
        child.close()


@pytest.mark.exhaustive
def test_a_model_that_is_not_on_this_machine_is_not_downloaded():
    child = explainer("openai/clip-vit-base-patch32@3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268")
    with pytest.raises(ModelError, match="the heat map needs the model: its files are not on this machine"):
        child.model()
    assert child.pid is None


@pytest.mark.exhaustive
def test_it_cannot_take_more_memory_than_it_may(model):
    child = explainer(model, 80 * MIB)
    with pytest.raises(
        (UnavailableError, ModelError), match=r"the heat map needs the model: .*memory"
    ) as found:
        child.model()
    assert "moderate explain ID --heatmap" in found.value.hint
    assert child.pid is None
