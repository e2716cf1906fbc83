"""A CLIP of the true architecture with random weights: right for times, never for accuracy."""

from pathlib import Path

import torch
from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessor, CLIPModel

from worker.encoder import model_files
from worker.encoder.transformers_encoder import FAMILIES


def save_clip(folder: Path) -> Path:
    """Save ViT-B/32 as transformers would; the tokenizer is the bundled model's."""
    torch.manual_seed(20)
    CLIPModel(CLIPConfig()).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_files.find("demo", FAMILIES)).save_pretrained(folder)
    return folder
