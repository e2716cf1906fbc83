"""Models of real architectures with random weights: valid for speed, not for accuracy.

The tokenizer is the bundled model's. Its small vocabulary changes no times: table rows that no phrase looks
up cost memory only.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    GemmaTokenizer,
    PreTrainedModel,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

from worker.encoder.hub import model_files

#: Where ViT-L/14 differs from ViT-B/32.
_LARGE_VISION = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
}
_LARGE_TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
#: SigLIP 2 B/32 at 256 pixels is a SigLIP with another tokenizer.
_SIGLIP_VISION = {"image_size": 256, "patch_size": 32}
_SIGLIP_PHRASE_TOKENS = 64


def save(name: str, folder: Path) -> Path:
    """Save the model `name`, one of MODELS, in transformers' format."""
    torch.manual_seed(20)
    model, *processors = MODELS[name]()
    for part in (_with_wide_weights(model), *processors):
        part.save_pretrained(folder)
    return folder


def _with_wide_weights(model: PreTrainedModel) -> PreTrainedModel:
    """Widen the weights so that pictures' vectors differ: otherwise results could not be compared."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim >= 2:
                weight.normal_(0, 1.5 / math.sqrt(weight[0].numel()))
    return model


def _clip(config: CLIPConfig) -> tuple[Any, ...]:
    tokenizer = AutoTokenizer.from_pretrained(model_files.find("demo"))
    # CLIP takes a phrase's vector at this token; without it all phrases would have the same vector.
    text: Any = config.text_config
    text.eos_token_id = tokenizer.eos_token_id
    return CLIPModel(config), CLIPImageProcessorPil(), tokenizer


def _siglip() -> tuple[Any, ...]:
    tokenizer = _letters()
    special = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": _SIGLIP_PHRASE_TOKENS, **special}
    config = SiglipConfig(text_config=text, vision_config=_SIGLIP_VISION)
    side = _SIGLIP_VISION["image_size"]
    return SiglipModel(config), SiglipImageProcessorPil(size={"height": side, "width": side}), tokenizer


def _letters() -> GemmaTokenizer:
    """Return a letter tokenizer; its result is padded to the same number of tokens for every phrase."""
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *"abcdefghijklmnopqrstuvwxyz0123456789."]
    vocabulary = {word: number for number, word in enumerate(words)}
    return GemmaTokenizer(vocab=vocabulary, merges=[], model_max_length=_SIGLIP_PHRASE_TOKENS)


MODELS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "vit-b-32": lambda: _clip(CLIPConfig()),
    "vit-l-14": lambda: _clip(
        CLIPConfig(vision_config=_LARGE_VISION, text_config=_LARGE_TEXT, projection_dim=768)
    ),
    "siglip2-b-32-256": _siglip,
}
