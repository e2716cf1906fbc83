"""`auto` computes in bfloat16 only if the model's vectors survive it, and says which it is and why."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.models import make_model
from support.pictures import drawing, prepared

from worker.encoder.towers.transformers_encoder import TransformersEncoder

PHOTO_MODEL = Path(__file__).parents[4] / "shared" / "models" / "photo-zero-shot"


@pytest.fixture(autouse=True)
def hardware_with_bfloat16(monkeypatch, caplog):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    caplog.set_level("INFO")


@pytest.fixture
def fragile(tmp_path):
    """Return a model whose vectors drown in rounding: a large offset cancels out in its last layer."""
    folder = make_model("clip", tmp_path / "fragile")
    weights = load_file(folder / "model.safetensors")
    weights["vision_model.post_layernorm.bias"] += 300
    weights["visual_projection.weight"] -= weights["visual_projection.weight"].mean(dim=1, keepdim=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


def test_a_model_that_survives_bfloat16_computes_in_it(caplog):
    encoder = TransformersEncoder.load("demo", precision="auto")
    assert encoder.info.precision == "bfloat16"
    assert encoder.info.digest == TransformersEncoder.load("demo", precision="bfloat16").info.digest
    (line,) = caplog.messages
    assert line.startswith("the model computes in bfloat16: vectors of pictures differ from float32 by 0.000")


def test_a_model_that_does_not_stays_in_float32_to_the_last_bit(fragile, caplog):
    encoder = TransformersEncoder.load(fragile, precision="auto")
    assert encoder.info.precision == "float32"
    (line,) = caplog.messages
    assert line.startswith("the model computes in float32: in bfloat16 vectors of pictures differ by ")
    exact = TransformersEncoder.load(fragile, precision="float32")
    assert encoder.info.digest == exact.info.digest, "what was stored under float32 is found again"
    pictures = prepared(exact, [drawing(), drawing(90, 70)])
    assert (encoder.encode_images(pictures) == exact.encode_images(pictures)).all()
    assert TransformersEncoder.load(fragile, precision="bfloat16").info.precision == "bfloat16", (
        "as asked for"
    )


def test_a_model_that_fails_in_bfloat16_stays_in_float32(caplog, monkeypatch):
    # An operation that PyTorch has in float32 alone.
    def failing(self, inputs, original=torch.nn.Linear.forward):
        if inputs.dtype is torch.bfloat16:
            raise RuntimeError("not implemented for 'BFloat16'")
        return original(self, inputs)

    monkeypatch.setattr(torch.nn.Linear, "forward", failing)
    assert TransformersEncoder.load("demo", precision="auto").info.precision == "float32"
    assert caplog.messages == [
        "the model computes in float32: in bfloat16 it fails: not implemented for 'BFloat16'"
    ]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_nothing_is_measured_where_a_precision_is_set(fragile, precision, caplog):
    assert TransformersEncoder.load(fragile, precision=precision).info.precision == precision
    assert caplog.messages == []


@pytest.mark.skipif(not PHOTO_MODEL.is_dir(), reason="../shared/models/photo-zero-shot is not here")
def test_an_efficientnet_stays_in_float32(caplog):
    # In bfloat16 it decided 42 of 848 photographs otherwise.
    assert TransformersEncoder.load(str(PHOTO_MODEL), precision="auto").info.precision == "float32"
    assert "differ by 0.03" in caplog.text
