"""A CLIP of the true architecture with random weights: right for times, never for accuracy."""

from pathlib import Path

import torch
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
)

from worker.encoder import model_files
from worker.encoder.transformers_encoder import FAMILIES


def save_clip(folder: Path, *, large: bool = False) -> Path:
    """Save ViT-B/32, or ViT-L/14, as transformers would; the tokenizer is the bundled model's."""
    torch.manual_seed(20)
    if large:
        vision = CLIPVisionConfig(
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=24,
            num_attention_heads=16,
            patch_size=14,
        )
        text = CLIPTextConfig(
            hidden_size=768, intermediate_size=3072, num_attention_heads=12, projection_dim=768
        )
        config = CLIPConfig(vision_config=vision.to_dict(), text_config=text.to_dict(), projection_dim=768)
    else:
        config = CLIPConfig()
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_files.find("demo", FAMILIES)).save_pretrained(folder)
    return folder
