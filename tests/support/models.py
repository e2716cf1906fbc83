"""Creates tiny models with random weights, one of each family, in the format of real ones."""

import math
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AlignConfig,
    AlignModel,
    AltCLIPConfig,
    AltCLIPModel,
    BertTokenizer,
    ChineseCLIPConfig,
    ChineseCLIPModel,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
    GemmaTokenizer,
    MetaClip2Config,
    MetaClip2Model,
    PreTrainedModel,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    XLMRobertaTokenizer,
)

_SIDE = 32
_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
_VISION = {**_SMALL, "image_size": _SIDE, "patch_size": 8}


def make_model(family: str, folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    """Save a model of `family` into `folder` and return it; the same weights every time."""
    torch.manual_seed(5)
    model, *processors = _MAKERS[family]()
    for part in (model.to(dtype), *processors):
        part.save_pretrained(folder)
    return folder


def make_pickled(folder: Path) -> tuple[Path, Path]:
    """Save a model with only pickled weights, like the oldest repositories, and the same as safetensors."""
    safe = make_model("clip", folder / "safe")
    pickled = shutil.copytree(safe, folder / "pickled")
    weights = load_file(pickled / "model.safetensors")
    (pickled / "model.safetensors").unlink()
    # Two names for one tensor, and a slice of it, as pickles may contain them.
    shared = weights["visual_projection.weight"]
    torch.save(weights | {"alias": shared, "part": shared[:1]}, pickled / "pytorch_model.bin")
    return pickled, safe


def _clip():
    alphabet = sorted(ByteLevel.alphabet())
    tokens = ["<|startoftext|>", "<|endoftext|>", *alphabet, *(letter + "</w>" for letter in alphabet)]
    tokenizer = CLIPTokenizer(
        vocab={token: i for i, token in enumerate(tokens)}, merges=[], model_max_length=77
    )
    special = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    text = {**_SMALL, **special, "vocab_size": len(tokens), "max_position_embeddings": 77}
    config = CLIPConfig(text_config=text, vision_config=_VISION, projection_dim=16)
    return _lively(CLIPModel(config)), tokenizer, _crop(CLIPImageProcessorPil)


def _chinese_clip():
    tokenizer = _bert_tokenizer()
    text = {**_SMALL, "vocab_size": len(tokenizer), "max_position_embeddings": 64}
    config = ChineseCLIPConfig(text_config=text, vision_config=_VISION, projection_dim=16)
    return _lively(ChineseCLIPModel(config)), tokenizer, _crop(CLIPImageProcessorPil)


def _align():
    tokenizer = _bert_tokenizer()
    text = {**_SMALL, "vocab_size": len(tokenizer), "max_position_embeddings": 64}
    vision = {
        "image_size": _SIDE,
        "hidden_dim": 32,
        "in_channels": [32, 16],
        "out_channels": [16, 24],
        "kernel_sizes": [3, 3],
        "strides": [1, 2],
        "num_block_repeats": [1, 1],
        "expand_ratios": [1, 2],
        "depth_divisor": 8,
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
    }
    config = AlignConfig(text_config=text, vision_config=vision, projection_dim=24)
    return _lively(AlignModel(config)), tokenizer, _crop(CLIPImageProcessorPil)


def _altclip():
    tokenizer = _roberta_tokenizer()
    text = {**_SMALL, "vocab_size": len(tokenizer), "max_position_embeddings": 66, "project_dim": 16}
    config = AltCLIPConfig(text_config=text, vision_config=_VISION, projection_dim=16)
    return _lively(AltCLIPModel(config)), tokenizer, _crop(CLIPImageProcessorPil)


def _metaclip_2():
    tokenizer = _roberta_tokenizer()
    special = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    text = {**_SMALL, **special, "vocab_size": len(tokenizer), "max_position_embeddings": 64}
    config = MetaClip2Config(text_config=text, vision_config=_VISION, projection_dim=16)
    return _lively(MetaClip2Model(config)), tokenizer, _crop(CLIPImageProcessorPil)


def _siglip():
    tokenizer = GemmaTokenizer(vocab=_letters(), merges=[], model_max_length=64)
    config = SiglipConfig(text_config=_siglip_text(len(tokenizer)), vision_config=_VISION)
    processor = SiglipImageProcessorPil(size={"height": _SIDE, "width": _SIDE})
    return _lively(SiglipModel(config)), tokenizer, processor


def _siglip2():
    tokenizer = Siglip2Tokenizer(vocab=_letters(), merges=[], model_max_length=64)
    vision = {**_SMALL, "patch_size": 8, "num_patches": 16}
    config = Siglip2Config(text_config=_siglip_text(len(tokenizer)), vision_config=vision)
    processor = Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)
    return _lively(Siglip2Model(config)), tokenizer, processor


def _siglip_text(vocabulary: int) -> dict[str, int]:
    special = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    return {**_SMALL, **special, "vocab_size": vocabulary, "max_position_embeddings": 64}


def _letters() -> dict[str, int]:
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    return {token: i for i, token in enumerate([*special, "▁", *"abcdefghijklmnopqrstuvwxyz."])}


def _bert_tokenizer() -> BertTokenizer:
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        ".",
        *letters,
        *(f"##{letter}" for letter in letters),
    ]
    return BertTokenizer(vocab={token: i for i, token in enumerate(tokens)}, model_max_length=64)


def _roberta_tokenizer() -> XLMRobertaTokenizer:
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = [(token, 0.0) for token in special] + [
        (letter, -3.0) for letter in "▁abcdefghijklmnopqrstuvwxyz."
    ]
    return XLMRobertaTokenizer(vocab=vocabulary, model_max_length=64)


def _crop(processor: type):
    return processor(size={"shortest_edge": _SIDE}, crop_size={"height": _SIDE, "width": _SIDE})


def _lively(model: PreTrainedModel) -> PreTrainedModel:
    """Spread the weights so that different inputs have distant vectors, as in a trained model."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim >= 2:
                weight.normal_(0, 1.5 / math.sqrt(weight[0].numel()), generator=generator)
            elif name == "logit_scale":
                weight.fill_(math.log(12))
            elif name == "logit_bias":
                weight.fill_(-1.5)
            elif name == "temperature":
                weight.fill_(1 / 12)
    return model


_MAKERS = {
    "align": _align,
    "altclip": _altclip,
    "chinese_clip": _chinese_clip,
    "clip": _clip,
    "metaclip_2": _metaclip_2,
    "siglip": _siglip,
    "siglip2": _siglip2,
}
FAMILIES = tuple(_MAKERS)
