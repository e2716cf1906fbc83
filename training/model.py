"""The architecture of the bundled model: a CLIPModel of transformers, small enough for a repository."""

import math

from transformers import CLIPConfig, CLIPModel, CLIPProcessor, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from training.tokenizer import CONTEXT

SIDE = 96
PATCH = 12
#: Patches along a side.
GRID = SIDE // PATCH
WIDTH = 192
DIMENSION = 256
MAX_SCALE = 60.0
#: In bfloat16 on a CPU, PyTorch's fused attention is slower than the plain one.
ATTENTION = "eager"


def build_model(tokenizer: CLIPTokenizer) -> CLIPModel:
    """Return an untrained model for the tokenizer's vocabulary, in float32."""
    layer = {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_attention_heads": 6,
        "hidden_act": "gelu",
    }
    text = layer | {
        "vocab_size": len(tokenizer),
        "num_hidden_layers": 3,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = layer | {"num_hidden_layers": 6, "image_size": SIDE, "patch_size": PATCH}
    config = CLIPConfig(
        text_config=text, vision_config=vision, projection_dim=DIMENSION, logit_scale_init_value=math.log(14)
    )
    return CLIPModel._from_config(config, attn_implementation=ATTENTION)  # noqa: SLF001 - how transformers builds one


def build_processor(tokenizer: CLIPTokenizer) -> CLIPProcessor:
    """Return the processor of pictures and phrases for the model."""
    side = {"height": SIDE, "width": SIDE}
    mean = std = [0.5, 0.5, 0.5]
    images = CLIPImageProcessorPil(
        size=side, do_center_crop=False, image_mean=mean, image_std=std, resample=3
    )
    return CLIPProcessor(image_processor=images, tokenizer=tokenizer)
