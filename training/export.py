"""Writes the model in transformers' format, in half precision, with files that all users can read."""

from pathlib import Path

from transformers import CLIPModel, CLIPTokenizer

from training.model import build_processor


def export(model: CLIPModel, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write weights, configuration, tokenizer and preprocessing to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    model.eval().half().save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    for file in folder.iterdir():
        # save_pretrained makes the weights readable only by their owner.
        file.chmod(0o644)
