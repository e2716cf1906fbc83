"""The bundled model in int8: made with the sample pictures, loaded as a worker loads it."""

import contextlib
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from moderation_demo import PICTURES
from support.models import make_model
from support.pictures import drawing, prepared

from worker import resources
from worker.encoder.hub import model_files
from worker.encoder.hub.model_files import FAMILIES
from worker.encoder.hub.model_layout import INT8_TOWER
from worker.encoder.towers import int8_export
from worker.encoder.towers.int8_export import write_int8_model
from worker.encoder.towers.openvino_tower import OpenVinoTower
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.errors import ModelError
from worker.images.sources.folder import find_files
from worker.settings import Settings
from worker.wiring.exporting import open_export

#: A short form of it, as people use it: tests/acceptance/test_model_export.py.
pytestmark = pytest.mark.exhaustive
TEXTS = ["a fox", "a bear beside a very long river"]


@contextlib.contextmanager
def silent(_what):
    yield lambda _done, _total: None


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    out, policies = folder / "int8", shutil.copytree(resources.folder("policies"), folder / "policies")
    # Hundreds of phrases, for photographs.
    (policies / "default.yaml").unlink()
    settings = Settings.read(policies=policies, decoder_processes=1, precision="float32")
    with pytest.MonkeyPatch.context() as patch, open_export(settings) as export_int8:
        # The best for this model and the worst: a trial takes seconds.
        patch.setattr(int8_export, "_SMOOTHINGS", (0.95, -1.0))
        return export_int8(find_files([PICTURES]), out, silent)


@pytest.fixture(scope="module")
def precise():
    return TransformersEncoder.load("demo")


@pytest.fixture(scope="module")
def int8(exported):
    return TransformersEncoder.load(str(exported.folder), passes=3, threads=1)


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported.folder, tmp_path / "copy")


def many(encoder):
    return prepared(encoder, [drawing(60 + 7 * n, 200 - 6 * n) for n in range(24)])


def test_pictures_turn_little_and_phrases_not_at_all(exported, precise, int8):
    pictures = many(precise)
    seen = int8.encode_images(pictures)
    assert seen.dtype == np.float32
    assert np.linalg.norm(seen, axis=1) == pytest.approx(1, abs=1e-5)
    assert (seen * precise.encode_images(pictures)).sum(axis=1).min() > 0.98
    assert exported.drift.mean > 0.995, "the best way to quantise was chosen"
    assert (int8.encode_texts(TEXTS) == precise.encode_texts(TEXTS)).all()
    assert (int8.info.scale, int8.info.window, int8.info.dimension) == (
        precise.info.scale,
        precise.info.window,
        precise.info.dimension,
    )


def test_the_report_is_of_pictures_that_the_copy_was_not_made_with(exported):
    assert exported.calibrated + len(exported.drift.cosines) + exported.unusable == len(
        find_files([PICTURES])
    )
    assert exported.unusable == 4
    assert exported.drift.least == min(exported.drift.cosines) < exported.drift.mean


def test_the_bundled_policies_own_tests_hold(exported):
    (stickers,) = exported.drift.policies
    assert stickers.policy == "stickers"
    assert stickers.failed_tests == ()
    assert len(stickers.flips) <= 3
    assert sum(stickers.ways.values()) == len(stickers.flips)


def test_auto_tries_what_is_not_int8_in_both_precisions(exported, int8, monkeypatch, caplog):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "avx512_vnni": True})
    caplog.set_level("INFO")
    encoder = TransformersEncoder.load(str(exported.folder), precision="auto", passes=1, threads=1)
    (line,) = caplog.messages
    assert line.startswith(f"the model computes in {encoder.info.precision}: ")
    assert (encoder.info.digest == int8.info.digest) == (encoder.info.precision == "float32")


def test_two_precisions_never_share_a_digest(exported, precise, int8, copy):
    half = TransformersEncoder.load(str(exported.folder), precision="bfloat16")
    digests = {precise.info.digest, int8.info.digest, half.info.digest}
    assert len(digests) == 3
    assert exported.digest == int8.info.digest
    for name in INT8_TOWER:
        with (copy / name).open("ab") as file:
            file.write(b"\n")
        digests.add(model_files.digest(copy))
    assert len(digests) == 5
    assert (half.encode_images(many(half)) * int8.encode_images(many(int8))).sum(axis=1).min() > 0.99


def test_the_tower_that_is_not_used_takes_no_memory(precise, int8):
    def seeing(encoder):
        parts = (encoder.texts._model, getattr(encoder.tower, "model", None))
        names = (name for part in parts if part for name, _ in part.named_parameters())
        return [name for name in names if name.startswith("vis")]

    assert seeing(precise)
    assert not seeing(int8)


def test_threads_at_once_get_their_own_pictures_vectors(int8):
    pictures = many(int8)
    batches = [pictures[n : n + 1 + n % 4] for n in range(len(pictures))]
    alone = [int8.encode_images(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(int8.encode_images, batches * 4))
    for expected, found in zip(alone * 4, together, strict=True):
        assert found == pytest.approx(expected, abs=1e-5)


def test_nothing_becomes_no_vectors(int8):
    assert int8.encode_images([]).shape == (0, int8.info.dimension)


@pytest.mark.parametrize("family", sorted(FAMILIES - {"siglip2"}))
def test_every_family_with_pictures_of_one_size_can_be_exported(family, tmp_path, monkeypatch):
    monkeypatch.setattr(int8_export, "_SMOOTHINGS", (-1.0,))
    source = TransformersEncoder.load(str(make_model(family, tmp_path / family)))
    pictures, told = many(source)[:8], []
    folder = tmp_path / "int8"
    folder.mkdir()
    write_int8_model(source, pictures, folder, lambda done, total: told.append((done, total)))
    copy = TransformersEncoder.load(str(folder))
    assert isinstance(copy.tower, OpenVinoTower)
    assert (copy.encode_images(pictures) * source.encode_images(pictures)).sum(axis=1).mean() > 0.9
    assert told == [(done, 28) for done in range(1, 15)]


def test_a_half_of_the_tower_is_none(copy):
    (copy / INT8_TOWER[1]).unlink()
    with pytest.raises(ModelError, match=r"picture_tower_int8\.xml without picture_tower_int8\.bin"):
        TransformersEncoder.load(str(copy))


def test_a_broken_tower_says_so(copy):
    (copy / INT8_TOWER[0]).write_text("<net")
    with pytest.raises(ModelError, match="cannot be loaded") as refused:
        TransformersEncoder.load(str(copy))
    assert "\n" not in refused.value.message


def test_without_openvino_the_extra_is_named(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match="needs OpenVINO") as refused:
        TransformersEncoder.load(str(exported.folder))
    assert "'moderation-worker[openvino]'" in refused.value.hint


def test_openvino_tells_its_makers_nothing(exported):
    assert sys.modules["openvino_telemetry"] is None
    assert (
        sys.modules["openvino.tools.ovc.telemetry_utils"].tm.__name__ == "openvino.tools.ovc.telemetry_stub"
    )


def test_a_processor_without_int8_is_warned_of(exported, monkeypatch, caplog):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    TransformersEncoder.load(str(exported.folder))
    assert "no int8 arithmetic" in caplog.text
