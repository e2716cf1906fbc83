"""Every family loads in the layout that its authors publish, and reads phrases as it was trained to."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from support.pictures import drawing, prepared
from support.published import LAYOUTS, edit_json, publish

from worker.domain.moderation.scoring import rank_labels, score_pairs
from worker.encoder.hub.model_files import FAMILIES
from worker.encoder.towers.tokenizer import _reads_lower_case, check_packages
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.errors import ModelError

#: Says that its type is siglip, and was trained on lower-cased text: transformers alone keeps the capitals.
SIGLIP2 = "google/siglip2-base-patch16-224"
SIGLIP = "google/siglip-base-patch16-224"
LABELS = ["a brown fox", "a Kitchen Knife", "people at work!", "bear"]


def load(folder):
    return TransformersEncoder.load(str(folder))


def tokens(encoder, *texts):
    tower = encoder.texts
    return tower._tokenizer(list(texts), padding=tower._padding, truncation=True, max_length=tower._window)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_published_layout_gives_the_probabilities_of_transformers_pipeline(layout, tmp_path, capfd):
    folder = publish(layout, tmp_path / "model")
    capfd.readouterr()
    encoder = load(folder)
    assert capfd.readouterr() == ("", "")
    rank = score_pairs if encoder.pairwise else rank_labels
    texts = encoder.encode_texts([f"This is a photo of {label}." for label in LABELS])
    (picture,) = encoder.encode_images(prepared(encoder, [drawing()]))

    # What the authors trained with, and transformers leaves to its callers.
    asked = [label.lower() for label in LABELS] if layout == SIGLIP2 else LABELS
    template = "this is a photo of {}." if layout == SIGLIP2 else "This is a photo of {}."
    pipeline = transformers.pipeline("zero-shot-image-classification", model=str(folder), dtype=torch.float32)
    theirs = {
        one["label"]: one["score"]
        for one in pipeline(drawing(), candidate_labels=asked, hypothesis_template=template)
    }

    ours = rank(picture, texts, encoder.scale, encoder.bias)
    assert np.ptp(ours) > 0.001
    assert ours == pytest.approx([theirs[label] for label in asked], abs=1e-4)


def test_every_family_that_is_claimed_has_a_layout(tmp_path):
    folders = [publish(layout, tmp_path / str(n)) for n, layout in enumerate(LAYOUTS)]

    assert {json.loads((one / "config.json").read_text())["model_type"] for one in folders} == FAMILIES


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tokenizer_class": "GemmaTokenizerFast"},
        {"do_lower_case": True},
        # As other versions of transformers save it again.
        {"tokenizer_class": "TokenizersBackend"},
        {"tokenizer_class": "PreTrainedTokenizerFast"},
    ],
)
def test_siglip_2_at_a_fixed_resolution_reads_lower_case(changes, tmp_path):
    published = load(publish(SIGLIP2, tmp_path / "published"))
    folder = publish(SIGLIP2, tmp_path / "model")
    edit_json(folder / "tokenizer_config.json", **changes)
    encoder = load(folder)

    vectors = encoder.encode_texts(["A Handgun", "a handgun", "A HANDGUN", "a bear"])

    assert (vectors[0] == vectors[1]).all()
    assert (vectors[0] == vectors[2]).all()
    assert not np.allclose(vectors[0], vectors[3], atol=1e-3)
    assert vectors == pytest.approx(published.encode_texts(["a handgun"] * 3 + ["a bear"]), abs=1e-6)


@pytest.mark.parametrize("layout", [SIGLIP, SIGLIP2, "google/siglip2-base-patch16-naflex"])
def test_siglip_pads_on_the_right_to_64_tokens_and_hides_no_padding(layout, tmp_path):
    encoded = tokens(load(publish(layout, tmp_path / "model")), "a bear", "an owl " * 40)

    assert encoded.keys() == {"input_ids"}
    assert [len(ids) for ids in encoded["input_ids"]] == [64, 64]
    short = encoded["input_ids"][0]
    assert len(set(short[:4])) > 2, "the phrase comes first"
    assert len(set(short[10:])) == 1, "the padding last"


def test_what_a_tokenizer_says_of_lower_case_is_honoured(tmp_path):
    cased = publish(SIGLIP2, tmp_path / "cased")
    edit_json(cased / "tokenizer_config.json", do_lower_case=False)
    lowered = publish("BAAI/AltCLIP", tmp_path / "lowered")
    edit_json(lowered / "tokenizer_config.json", do_lower_case=True)

    for folder, same in ((cased, False), (lowered, True)):
        upper, lower = load(folder).encode_texts(["A BEAR", "a bear"])
        assert (upper == lower).all() == same


@pytest.mark.parametrize(
    ("family", "size", "stated", "end", "lower"),
    [
        ("siglip", 256_000, {}, "</s>", True),
        ("siglip", 400, {"tokenizer_class": "GemmaTokenizerFast"}, "</s>", True),
        ("siglip", 400, {}, "<eos>", True),
        ("siglip", 32_000, {"tokenizer_class": "SiglipTokenizer"}, "</s>", False),
        ("siglip", 256_000, {"do_lower_case": False}, "<eos>", False),
        ("siglip2", 256_000, {}, "<eos>", True),
        ("clip", 256_000, {}, "<eos>", False),
        ("altclip", 250_002, {"do_lower_case": True}, "</s>", True),
        ("clip", 49_408, {"do_lower_case": "yes"}, None, False),
    ],
)
def test_lower_case_is_known_by_the_configuration(family, size, stated, end, lower):
    config = SimpleNamespace(model_type=family, text_config=SimpleNamespace(vocab_size=size))

    assert _reads_lower_case(stated, config, end) is lower


@pytest.mark.parametrize("stated", ["SiglipTokenizer", None])
def test_siglip_without_its_vocabulary_names_the_file(stated, tmp_path):
    folder = publish(SIGLIP, tmp_path / "model")
    (folder / "spiece.model").unlink()
    edit_json(folder / "tokenizer_config.json", tokenizer_class=stated)

    with pytest.raises(ModelError, match=r"no vocabulary that SiglipTokenizer reads: spiece\.model"):
        load(folder)


@pytest.mark.parametrize("layout", [SIGLIP2, "openai/clip-vit-large-patch14"])
def test_weights_in_parts_and_in_half_precision_load(layout, tmp_path):
    folder = publish(layout, tmp_path / "model")
    whole = load(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float16)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="60KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert {w.dtype for shard in shards for w in load_file(shard).values()} == {torch.float16}

    encoder = load(folder)

    texts = ["a bear", "an owl at night"]
    assert (encoder.encode_texts(texts) * whole.encode_texts(texts)).sum(axis=1).min() > 0.999
    shards[1].unlink()
    with pytest.raises(ModelError, match=f"lacks 1 of its weight files, such as {shards[1].name}"):
        load(folder)


@pytest.mark.parametrize("layout", [SIGLIP, "siglip without tokenizer.json"])
@pytest.mark.parametrize(("module", "package"), [("sentencepiece",) * 2, ("google.protobuf", "protobuf")])
def test_a_package_that_is_missing_is_named_with_its_extra(layout, module, package, tmp_path, monkeypatch):
    folder = publish(layout, tmp_path / "model")
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ModelError, match=f"needs the package {package}, which is not installed") as refused:
        load(folder)

    assert refused.value.hint == "pip install moderation-worker"


def test_a_package_without_the_one_around_it_is_missing_too(tmp_path):
    def find(module):
        if module == "google.protobuf":
            raise ModuleNotFoundError("No module named 'google'")
        return object()

    (tmp_path / "spiece.model").touch()
    with pytest.raises(ModelError, match="needs the package protobuf"):
        check_packages(tmp_path, "model", find)


@pytest.mark.parametrize("layout", ["openai/clip-vit-large-patch14", SIGLIP2, "BAAI/AltCLIP"])
def test_a_vocabulary_that_is_there_in_another_format_needs_neither(layout, tmp_path, monkeypatch):
    folder = publish(layout, tmp_path / "model")
    texts = ["a bear", "an owl"]
    vectors = load(folder).encode_texts(texts)
    monkeypatch.setitem(sys.modules, "sentencepiece", None)

    assert (load(folder).encode_texts(texts) == vectors).all()
