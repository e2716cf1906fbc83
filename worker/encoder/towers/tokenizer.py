"""Loads a model's tokenizer so that it tokenises phrases as in the model's training."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tokenizers import normalizers
from transformers import AutoTokenizer

from worker.encoder.hub.model_layout import TOKENIZER_CONFIG, read_json
from worker.errors import ModelError

#: The SigLIP families, which score each pair separately and were trained on phrases padded to one length.
PAIRWISE: Final = frozenset({"siglip", "siglip2"})
#: Size of Gemma's vocabulary, which SigLIP 2 reads in lower case; unique among the supported families.
_GEMMA_TOKENS: Final = 256_000
#: Gemma's last token of a phrase; the first SigLIP has another.
_GEMMA_END: Final = "<eos>"
_SIGLIP: Final = "SiglipTokenizer"
_SIGLIP_VOCABULARY: Final = "spiece.model"
_PROBE: Final = "A Photo"


def load_tokenizer(folder: Path, name: str, model_config: Any, **options: Any) -> Any:
    """Return the tokenizer in a model's folder; ModelError if a package that it needs is not installed.

    It lower-cases if the model was trained on lower-cased phrases, even if transformers does not know. Other
    errors are those of transformers and of the libraries below it.
    """
    check_packages(folder, name)
    stated = read_json(folder / TOKENIZER_CONFIG) if (folder / TOKENIZER_CONFIG).is_file() else {}
    _check_vocabulary(folder, name, stated, model_config)
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    if _reads_lower_case(stated, model_config, tokenizer.eos_token):
        _lower_case(tokenizer)
    return tokenizer


def check_packages(folder: Path, name: str, find: Callable[[str], Any] = find_spec) -> None:
    """Raise ModelError if the vocabulary is a SentencePiece model and a package to read it is missing.

    For the first SigLIP it is one even beside a `tokenizer.json`, which has different tokens. In other
    families both files hold the same vocabulary.
    """
    is_read = (folder / _SIGLIP_VOCABULARY).is_file() or not (folder / "tokenizer.json").is_file()
    if not is_read or not any(folder.glob("*.model")):
        return
    for package, module in (("sentencepiece", "sentencepiece"), ("protobuf", "google.protobuf")):
        if not _is_installed(module, find):
            raise ModelError(
                f"the vocabulary of the model {name!r} is a SentencePiece model, "
                f"and reading it needs the package {package}, which is not installed",
                hint="pip install moderation-worker",
            )


def _is_installed(module: str, find: Callable[[str], Any]) -> bool:
    try:
        return find(module) is not None
    except ModuleNotFoundError:  # its parent package is missing too
        return False


def _check_vocabulary(folder: Path, name: str, stated: Mapping[str, Any], model_config: Any) -> None:
    """Raise ModelError for the first SigLIP without its vocabulary; the error of transformers is unclear."""
    of_siglip = model_config.model_type == "siglip" and stated.get("tokenizer_class", _SIGLIP) == _SIGLIP
    if of_siglip and not (folder / _SIGLIP_VOCABULARY).is_file():
        raise ModelError(
            f"the model {name!r} has no vocabulary that {_SIGLIP} reads: {_SIGLIP_VOCABULARY}",
            hint="copy all files of the model, its tokenizer_config.json too",
        )


def _reads_lower_case(stated: Mapping[str, Any], model_config: Any, end: str | None) -> bool:
    """Whether the model was trained on lower-cased phrases, by its tokenizer's configuration or its family.

    SigLIP 2 at a fixed resolution declares the type `siglip`, and has Gemma's tokenizer, which keeps
    capitals. If it was saved again, the tokenizer's name may be lost, but not its vocabulary or last token.
    """
    if "do_lower_case" in stated:
        return stated["do_lower_case"] is True
    is_gemma = (
        "Gemma" in str(stated.get("tokenizer_class", ""))
        or model_config.text_config.vocab_size == _GEMMA_TOKENS
        or end == _GEMMA_END
    )
    return model_config.model_type in PAIRWISE and is_gemma


def _lower_case(tokenizer: Any) -> None:
    """Make a tokenizer lower-case its input, unless it does so already."""
    if tokenizer(_PROBE)["input_ids"] == tokenizer(_PROBE.lower())["input_ids"]:
        return
    backend = tokenizer.backend_tokenizer
    existing = [backend.normalizer] if backend.normalizer else []
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *existing])
