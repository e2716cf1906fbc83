"""The picture tower in bfloat16: nearly the same vectors, under a digest of their own."""

import numpy as np
import pytest
import torch
from support.models import make_model
from support.pictures import drawing, prepared

from worker.encoder.hub.model_files import FAMILIES
from worker.encoder.towers.device import device_for, dtype_for
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.errors import SettingsError

TEXTS = ["a fox", "a bear beside a very long river"]


def cosines(left, right):
    return (left * right).sum(axis=1)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_sees_nearly_the_same_in_bfloat16(family, tmp_path):
    folder = str(make_model(family, tmp_path / family))
    exact, half = (TransformersEncoder.load(folder, precision=one) for one in ("float32", "bfloat16"))
    pictures = prepared(exact, [drawing(), drawing(90, 70)])
    seen = half.encode_images(pictures)
    assert seen.dtype == np.float32
    assert np.linalg.norm(seen, axis=1) == pytest.approx(1, abs=1e-5)
    assert cosines(seen, exact.encode_images(pictures)).min() > 0.995
    assert (half.encode_texts(TEXTS) == exact.encode_texts(TEXTS)).all(), "phrases are encoded exactly"
    assert half.info.digest != exact.info.digest


def test_the_bundled_model_drifts_by_less_than_a_hundredth():
    exact, half = (TransformersEncoder.load("demo", precision=one) for one in ("float32", "bfloat16"))
    pictures = prepared(exact, [drawing(), drawing(90, 70), drawing(200, 300)])
    assert cosines(half.encode_images(pictures), exact.encode_images(pictures)).min() > 0.99


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"bf16": True}, torch.bfloat16),
        ({}, torch.float32),
    ],
)
def test_auto_takes_what_the_processor_truly_has(monkeypatch, capabilities, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert dtype_for("auto") is dtype


def test_what_the_processor_lacks_is_taken_with_a_warning(monkeypatch, caplog):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert dtype_for("bfloat16") is torch.bfloat16
    assert "float32 would be faster" in caplog.text


def test_auto_takes_an_accelerator_where_there_is_one(monkeypatch):
    assert device_for("cpu").type == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device_for("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_for("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert dtype_for("auto", torch.device("cuda")) is torch.bfloat16
    assert dtype_for("auto", torch.device("mps")) is torch.float32


def test_a_device_that_is_not_there_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        SettingsError, match=r"MODERATION_DEVICE is cuda, but PyTorch .* finds no such device"
    ):
        device_for("cuda")
