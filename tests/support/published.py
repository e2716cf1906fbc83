"""Creates tiny models in the layouts of published repositories: file names, old keys, vocabularies.

Weights are random; files, keys and tokenizer classes are those of the repository in the name of a layout.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import sentencepiece
from safetensors.torch import load_file, save_file
from support.models import make_model
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

_SENTENCES: Final = [
    "a photo of a handgun",
    "a kitchen knife on a board",
    "an owl and a bear, beside the river",
    "This is a picture of people at work; 17 of them!",
    "the quick brown fox jumps over the lazy dog",
]


def publish(layout: str, folder: Path) -> Path:
    """Save a model in a published `layout` into `folder` and return it; the same weights every time."""
    LAYOUTS[layout](folder)
    return folder


def edit_json(file: Path, **changes: Any) -> None:
    """Change keys of a JSON file; None removes a key."""
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def _openai_clip(folder: Path) -> None:
    """openai/clip-vit-large-patch14: sizes as numbers, keys of the first version, two kinds of vocabulary."""
    make_model("clip", folder)
    backend = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(backend["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    _write(
        folder / "tokenizer_config.json",
        unk_token=_token("<|endoftext|>") | {"__type": "AddedToken"},
        bos_token=_token("<|startoftext|>") | {"__type": "AddedToken"},
        eos_token=_token("<|endoftext|>") | {"__type": "AddedToken"},
        pad_token="<|endoftext|>",
        add_prefix_space=False,
        errors="replace",
        do_lower_case=True,
        model_max_length=77,
        special_tokens_map_file="./special_tokens_map.json",
        tokenizer_class="CLIPTokenizer",
    )
    _write(
        folder / "special_tokens_map.json",
        bos_token=_token("<|startoftext|>"),
        eos_token=_token("<|endoftext|>"),
        unk_token=_token("<|endoftext|>"),
        pad_token="<|endoftext|>",
    )
    _write(
        folder / "preprocessor_config.json",
        crop_size=32,
        do_center_crop=True,
        do_normalize=True,
        do_resize=True,
        feature_extractor_type="CLIPFeatureExtractor",
        image_mean=[0.48145466, 0.4578275, 0.40821073],
        image_std=[0.26862954, 0.26130258, 0.27577711],
        resample=3,
        size=32,
    )
    config = json.loads((folder / "config.json").read_text())
    edit_json(
        folder / "config.json",
        text_config_dict=config["text_config"],
        vision_config_dict=config["vision_config"],
        torch_dtype="float32",
        dtype=None,
        transformers_version=None,
        text_config=config["text_config"] | {"_name_or_path": "", "top_k": 50, "torchscript": False},
    )


def _clip_without_tokenizer_json(folder: Path) -> None:
    """Leave only vocabulary and merges, like the first conversions."""
    _openai_clip(folder)
    (folder / "tokenizer.json").unlink()


def _siglip(folder: Path) -> None:
    """google/siglip-base-patch16-224: a SentencePiece model; its tokenizer drops case and punctuation."""
    make_model("siglip", folder)
    vocabulary = _sentencepiece(folder / "spiece.model", unk_id=2, eos_id=1, bos_id=-1, pad_id=-1)
    _fit_vocabulary(folder, vocabulary, pad_token_id=1, bos_token_id=1, eos_token_id=1)
    _write(
        folder / "tokenizer_config.json",
        added_tokens_decoder={
            "1": _token("</s>", lstrip=True, rstrip=True, special=True),
            "2": _token("<unk>", lstrip=True, rstrip=True, special=True),
        },
        additional_special_tokens=[],
        clean_up_tokenization_spaces=True,
        do_lower_case=True,
        eos_token="</s>",
        model_input_names=["input_ids"],
        model_max_length=64,
        pad_token="</s>",
        processor_class="SiglipProcessor",
        sp_model_kwargs={},
        tokenizer_class="SiglipTokenizer",
        unk_token="<unk>",
    )
    _write(folder / "special_tokens_map.json", eos_token="</s>", pad_token="</s>", unk_token="<unk>")
    edit_json(folder / "preprocessor_config.json", processor_class="SiglipProcessor")


def _siglip_without_tokenizer_json(folder: Path) -> None:
    """Leave only the SentencePiece model, like the first conversions."""
    _siglip(folder)
    (folder / "tokenizer.json").unlink()


def _siglip2_fixed(folder: Path) -> None:
    """google/siglip2-base-patch16-224: of type `siglip`, with Gemma's tokenizer, which keeps capitals."""
    make_model("siglip", folder)
    _gemma_tokenizer(folder)


def _siglip2_naflex(folder: Path) -> None:
    """google/siglip2-base-patch16-naflex: the same tokenizer, of type `siglip2`."""
    make_model("siglip2", folder)
    _gemma_tokenizer(folder)
    edit_json(folder / "preprocessor_config.json", image_processor_type="Siglip2ImageProcessorFast")


def _gemma_tokenizer(folder: Path) -> None:
    vocabulary = _gemma_vocabulary()
    tokenizer = Tokenizer(
        BPE(vocab=vocabulary, merges=[], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <eos>", pair="$A <eos> $B:1 <eos>:1", special_tokens=[("<eos>", vocabulary["<eos>"])]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    # The repository also has the vocabulary as a SentencePiece model; nothing reads it.
    _sentencepiece(folder / "tokenizer.model", unk_id=3, eos_id=1, bos_id=2, pad_id=0)
    special = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    _write(
        folder / "tokenizer_config.json",
        **special,
        add_bos_token=False,
        add_eos_token=True,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids"],
        model_max_length=64,
        padding_side="right",
        processor_class="SiglipProcessor",
        sp_model_kwargs={},
        spaces_between_special_tokens=False,
        tokenizer_class="GemmaTokenizer",
        use_default_system_prompt=False,
    )
    _write(folder / "special_tokens_map.json", **special)
    _fit_vocabulary(folder, len(vocabulary))


def _gemma_vocabulary() -> dict[str, int]:
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    bytes_ = [f"<0x{n:02X}>" for n in range(256)]
    letters = "abcdefghijklmnopqrstuvwxyz"
    return {token: n for n, token in enumerate([*special, *bytes_, "▁", ".", *letters, *letters.upper()])}


def _align(folder: Path) -> None:
    """kakaobrain/align-base: BERT's vocabulary, EfficientNet's pictures."""
    make_model("align", folder)
    _write_wordpieces(folder)
    _write(
        folder / "preprocessor_config.json",
        crop_size={"height": 32, "width": 32},
        do_center_crop=True,
        do_normalize=False,
        do_rescale=True,
        do_resize=True,
        image_mean=[0.485, 0.456, 0.406],
        image_processor_type="EfficientNetImageProcessor",
        image_std=[0.47853944, 0.4732864, 0.47434163],
        include_top=False,
        processor_class="AlignProcessor",
        resample=2,
        rescale_factor=0.00784313725490196,
        rescale_offset=True,
        size={"height": 38, "width": 38},
    )
    _write(
        folder / "tokenizer_config.json",
        clean_up_tokenization_spaces=True,
        cls_token="[CLS]",
        do_lower_case=True,
        mask_token="[MASK]",
        model_max_length=64,
        pad_token="[PAD]",
        processor_class="AlignProcessor",
        sep_token="[SEP]",
        strip_accents=None,
        tokenize_chinese_chars=True,
        tokenizer_class="BertTokenizer",
        unk_token="[UNK]",
    )


def _chinese_clip(folder: Path) -> None:
    """OFA-Sys/chinese-clip-vit-base-patch16: a list of word pieces, and nothing else about the tokenizer."""
    make_model("chinese_clip", folder)
    _write_wordpieces(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    _write(
        folder / "preprocessor_config.json",
        crop_size=32,
        do_center_crop=False,
        do_normalize=True,
        do_resize=True,
        feature_extractor_type="ChineseCLIPFeatureExtractor",
        image_mean=[0.48145466, 0.4578275, 0.40821073],
        image_std=[0.26862954, 0.26130258, 0.27577711],
        resample=3,
        size={"height": 32, "width": 32},
    )


def _write_wordpieces(folder: Path) -> None:
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "vocab.txt").write_text(
        "".join(f"{token}\n" for token in sorted(vocabulary, key=vocabulary.get))
    )


def _altclip(folder: Path) -> None:
    """BAAI/AltCLIP: XLM-RoBERTa's SentencePiece model."""
    make_model("altclip", folder)
    _xlm_roberta(folder)


def _metaclip_2(folder: Path) -> None:
    """facebook/metaclip-2-worldwide-huge-quickgelu: the same."""
    make_model("metaclip_2", folder)
    _xlm_roberta(folder)


def _xlm_roberta(folder: Path) -> None:
    edit_json(
        folder / "tokenizer_config.json",
        tokenizer_class="XLMRobertaTokenizer",
        model_max_length=64,
        sp_model_kwargs={},
        backend=None,
    )
    _sentencepiece(folder / "sentencepiece.bpe.model", unk_id=0, bos_id=1, eos_id=2, pad_id=-1)


def _sentencepiece(file: Path, **ids: int) -> int:
    """Train and write a SentencePiece model; return its number of pieces."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_SENTENCES * 20),
        model_writer=model,
        vocab_size=90,
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        minloglevel=2,
        **ids,
    )
    file.write_bytes(model.getvalue())
    return int(sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).get_piece_size())


def _fit_vocabulary(folder: Path, size: int, **special: int) -> None:
    """Resize the token embeddings of the text tower to the vocabulary."""
    weights = load_file(folder / "model.safetensors")
    key = "text_model.embeddings.token_embedding.weight"
    rows = weights[key]
    weights[key] = rows.repeat(1 + size // len(rows), 1)[:size].contiguous()
    weights[key] += 0.01 * (weights[key].new_tensor(range(size))[:, None] / size)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edit_json(folder / "config.json", text_config=text | {"vocab_size": size} | special)


def _write(file: Path, **content: Any) -> None:
    file.write_text(json.dumps(content, indent=2))


def _token(content: str, **flags: bool) -> dict[str, Any]:
    known = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    return {"content": content, **known, **flags}


LAYOUTS: Final[dict[str, Callable[[Path], None]]] = {
    "openai/clip-vit-large-patch14": _openai_clip,
    "clip without tokenizer.json": _clip_without_tokenizer_json,
    "google/siglip-base-patch16-224": _siglip,
    "siglip without tokenizer.json": _siglip_without_tokenizer_json,
    "google/siglip2-base-patch16-224": _siglip2_fixed,
    "google/siglip2-base-patch16-naflex": _siglip2_naflex,
    "kakaobrain/align-base": _align,
    "OFA-Sys/chinese-clip-vit-base-patch16": _chinese_clip,
    "BAAI/AltCLIP": _altclip,
    "facebook/metaclip-2-worldwide-huge-quickgelu": _metaclip_2,
}
